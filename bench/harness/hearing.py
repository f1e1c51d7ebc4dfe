"""What programs that hear a gateway share: they take its posts, ask its admin port, and say at their end what they heard."""

import json
import signal
import sys
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def hear(port, heard, file, posted):
    """Takes posts on `port` until SIGTERM, each by `posted(body)`, and then writes `heard` to `file`."""

    class Hook(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            posted(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def end(*_):
        with open(file, "w") as out:
            json.dump(heard, out)
        sys.exit()

    signal.signal(signal.SIGTERM, end)
    ThreadingHTTPServer(("127.0.0.1", port), Hook).serve_forever()


def request(admin, method, path, body=None):
    """The answer of the admin port; the gateway may take a while to be there."""
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", admin)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse()
        except ConnectionRefusedError:
            time.sleep(0.02)
