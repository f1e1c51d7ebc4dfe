"""Hears what a gateway says of itself: takes a webhook's posts, follows its stream of events, and has one client traced.
Arguments: its own port, the gateway's admin port, the client, and the file for what it has heard. It listens on its port
from the start, and says `heard` in the file, at its end, how much of each came."""

import json
import signal
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, admin, client, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
heard = {"posts": 0, "events": 0, "steps": 0}


class Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        heard["posts"] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def follow():
    request("POST", f"/mcp/admin/trace/{client}", json.dumps({"for_s": 3600})).read()
    for line in request("GET", f"/mcp/admin/events?topics=*,client:{client}"):
        if line.startswith(b"data:"):
            heard["steps" if b'"system":"client"' in line else "events"] += 1


def request(method, path, body=None):
    """The answer; the gateway may take a while to be there."""
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", admin)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse()
        except ConnectionRefusedError:
            time.sleep(0.02)


def end(*_):
    with open(file, "w") as out:
        json.dump(heard, out)
    sys.exit()


signal.signal(signal.SIGTERM, end)
threading.Thread(target=follow, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", port), Hook).serve_forever()
