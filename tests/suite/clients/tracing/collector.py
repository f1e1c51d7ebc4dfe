"""A collector of spans: it takes OTLP over HTTP/protobuf, decoded by OpenTelemetry's own package, and prints each request as
a JSON object on a line. A line on standard input, {"status": 503, "headers": {}, "silent": false, "rejected": 0}, says how it
answers from then on; a silent one does not answer."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

answer = {"status": 200}
printing = threading.Lock()


def say(value):
    with printing:
        print(json.dumps(value), flush=True)


def attributes(pairs):
    values = ((pair.key, MessageToDict(pair.value)) for pair in pairs)
    return {key: next(iter(value.values())) for key, value in values}


def plain(span, resource):
    return {
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "state": span.trace_state,
        "name": span.name,
        "kind": span.kind,
        "flags": span.flags,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": attributes(span.attributes),
        "status": {"code": span.status.code, "message": span.status.message},
        "resource": resource,
    }


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            plain(span, attributes(group.resource.attributes))
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        now = dict(answer)
        headers = {name.lower(): value for name, value in self.headers.items()}
        say({"path": self.path, "headers": headers, "spans": spans, "answered": now.get("status")})
        if now.get("silent"):
            threading.Event().wait()
        self.send_response(now.get("status", 200))
        response = ExportTraceServiceResponse()
        if now.get("rejected"):
            response.partial_success.rejected_spans = now["rejected"]
            response.partial_success.error_message = "too many"
        text = response.SerializeToString()
        for name, value in now.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Collector)
server.daemon_threads = True
server.handle_error = lambda *_: None  # who has hung up
threading.Thread(target=server.serve_forever, daemon=True).start()
say({"listening": server.server_port})
for line in sys.stdin:
    answer = json.loads(line)
    say({"answering": answer})
