"""What a house has that watches all its programs: a collector of spans, a scrape of /metrics each second, and a browser on
the dashboard. Arguments: its own port, on which the collector listens, the gateway's admin port, and the file for what it
has heard: bytes of spans, scrapes, and the dashboard's events."""

import sys
import threading
import time

from hearing import hear, request

port, admin, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
heard = {"spans": 0, "scrapes": 0, "figures": 0}


def scrape():
    while True:
        if b"weir_messages" in request(admin, "GET", "/metrics").read():
            heard["scrapes"] += 1
        time.sleep(1)


def watch():
    for line in request(admin, "GET", "/mcp/admin/dashboard/events"):
        heard["figures"] += line.startswith(b"data:")


def exported(spans):
    heard["spans"] += len(spans)


for work in (scrape, watch):
    threading.Thread(target=work, daemon=True).start()
hear(port, heard, file, exported)
