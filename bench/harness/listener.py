"""Hears what a gateway says of itself: takes a webhook's posts, follows its stream of events, and has one client traced.
Arguments: its own port, the gateway's admin port, the file for what it has heard, and the client. It listens on its port
from the start, and says `heard` in the file, at its end, how much of each came."""

import json
import sys
import threading

from hearing import hear, request

port, admin, file, client = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
heard = {"posts": 0, "events": 0, "steps": 0}


def follow():
    request(admin, "POST", f"/mcp/admin/trace/{client}", json.dumps({"for_s": 3600})).read()
    for line in request(admin, "GET", f"/mcp/admin/events?topics=*,client:{client}"):
        if line.startswith(b"data:"):
            heard["steps" if b'"system":"client"' in line else "events"] += 1


def posted(_):
    heard["posts"] += 1


threading.Thread(target=follow, daemon=True).start()
hear(port, heard, file, posted)
