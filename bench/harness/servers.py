"""The servers that are measured: each runs on core 0, on loopback, and is stopped again."""

import base64
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target" / "release"
SERVER_CORE, GENERATOR_CORE = "0", "1"
START_SECONDS = 10
STOP_SECONDS = 10
# Raised, not switched off: every check still runs.
RATE_LIMIT = "1000000000"
CONNECTIONS = "20000"

NATS = """\
listen: 127.0.0.1:{tcp}
websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}
max_connections: {connections}
"""

NCHAN = """\
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; worker_processes 1; user root; pid nginx.pid; error_log error.log; worker_rlimit_nofile {connections};
events {{ worker_connections {connections}; use epoll; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /sub {{ nchan_subscriber websocket; nchan_channel_id $arg_id; nchan_subscriber_first_message newest; }}
    location = /pub {{ nchan_publisher http; nchan_channel_id $arg_id; nchan_message_buffer_length 100; }}
  }}
}}
"""

# A plain relay: connections to both sides are kept, nothing is looked at, and only the relaying is done.
NGINX = """\
daemon off; worker_processes 1; user root; pid nginx.pid; error_log error.log; worker_rlimit_nofile {connections};
events {{ worker_connections {connections}; use epoll; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  upstream fast {{
    server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; keepalive_timeout 1h;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://fast; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""

WEIR = """\
[[upstream]]
name = "fast"
url = "{upstream}"
"""

SECRET = "not a secret, but long enough for one"

GUARDED = """\
[rate_limiting.roles]
user = {{ limit = {limit} }}
"""


# Before all else that wants the core.
AHEAD = ["chrt", "--fifo", "1"]


def may_go_ahead():
    """Whether processes may be started so."""
    return subprocess.run([*AHEAD, "true"], capture_output=True).returncode == 0


class Server:
    """A running server: `url` for the load generator, `pids` of all its processes. With `upstream`, which runs on
    the generator's core for as long, and is not measured."""

    def __init__(self, name, url, command, port, env=None, files=None, core=SERVER_CORE, upstream=None):
        self.name, self.url, self.port = name, url.format(f"127.0.0.1:{port}"), port
        self.command, self.env, self.files = command, env or {}, files or {}
        self.core, self.upstream, self.ahead = core, upstream, False

    def __enter__(self):
        if self.upstream:
            self.upstream.__enter__()
        try:
            self._start()
        except BaseException:
            self._stop_upstream()
            raise
        return self

    def __exit__(self, *_):
        self._stop()
        self._stop_upstream()

    def _start(self):
        self.folder = tempfile.TemporaryDirectory(prefix=f"bench-{self.name}-", dir=BINARIES)
        folder = Path(self.folder.name)
        for name, text in self.files.items():
            (folder / name).write_text(text)
        self.log = open(folder / "log", "wb+")
        ahead = AHEAD if self.ahead else []
        command = ["taskset", "-c", self.core, *ahead, *map(str, self.command)]
        self.process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **self.env}, stdout=self.log, stderr=self.log)
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise

    @property
    def pids(self):
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return ",".join([str(pid), *children])

    def _wait(self):
        """Looks in /proc, because a probing connection would be a client."""
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                said = self.log.read().decode(errors="replace")[-2000:]
                sys.exit(f"{self.name} does not listen on port {self.port}; it said:\n{said}")
            time.sleep(0.02)
        time.sleep(0.2)

    def _stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def _stop_upstream(self):
        if self.upstream:
            self.upstream.__exit__()


def weir(url="ws://{}/mcp/ws", upstream=None, data_dir=None, env=None, binary=BINARIES / "weir", tls=False, admin=None):
    """With `upstream`, a gateway to that MCP server and no more. With `data_dir` on the disk tier: in that folder, or in
    its own if it is True. With `tls` it speaks that. `admin` is the admin port, a free one otherwise."""
    port = free_port()
    command = [binary, "serve", "--shards", 1, "--cores", SERVER_CORE, "--rate-limit", RATE_LIMIT,
               "--ws-port", port, "--sse-port", free_port(), "--admin-port", admin or free_port()]
    if data_dir:
        command += ["--data-dir", "data" if data_dir is True else data_dir]
    env = (env or {}) | {"MCP_WS_MAX_CONNECTIONS": CONNECTIONS, "MCP_SSE_MAX_CONNECTIONS": CONNECTIONS,
           "WEIR_RATE_LIMITING_BACKEND_LIMIT": RATE_LIMIT}
    files = {}
    if tls:
        url = url.replace("ws://", "wss://").replace("http://", "https://")
        files["cert.pem"], files["key.pem"] = certificate()
        command += ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]
    if upstream:
        files["weir.toml"] = WEIR.format(upstream=upstream.url)
        command += ["-c", "weir.toml"]
    return Server("weir", url, command, port, env, files, upstream=upstream)


def guarded():
    """Whoever comes must carry a token of `token`; it is a user's, with the limit raised."""
    server = weir(env={"JWT_SECRET": SECRET})
    server.files["weir.toml"] = GUARDED.format(limit=RATE_LIMIT)
    server.command += ["-c", "weir.toml"]
    return server


def token(client):
    """Signed with SECRET (RFC 7519, HS256), for an hour."""
    now = int(time.time())
    claims = {"iss": "weir", "aud": "mcp-gateway", "sub": client, "role": "user", "permissions": ["read", "write"],
              "iat": now, "exp": now + 3600}
    parts = b".".join(base64url(json.dumps(part).encode()) for part in [{"alg": "HS256", "typ": "JWT"}, claims])
    return (parts + b"." + base64url(hmac.digest(SECRET.encode(), parts, "sha256"))).decode()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def certificate():
    """A new one for this machine, and its key."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "30",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        return cert.read_text(), key.read_text()


def bare(mode, *options, url="tcp://{}", core=SERVER_CORE):
    """The ring with no protocol: `echo`, `fanout`, `http` or `accept`."""
    port = free_port()
    return Server("bare", url, [BINARIES / "bare", mode, "--port", port, "--core", core, *options], port, core=core)


def nats():
    port, tcp = free_port(), free_port()
    config = NATS.format(port=port, tcp=tcp, connections=CONNECTIONS)
    return Server("nats", "ws://{}/", ["nats-server", "-c", "nats.conf"], port, files={"nats.conf": config})


def nchan():
    return nginx("nchan", "ws://{}/", NCHAN)


def relay(upstream):
    """nginx between the generator and `upstream`."""
    return nginx("nginx", "http://{}/mcp", NGINX, upstream)


def nginx(name, url, template, upstream=None):
    port = free_port()
    config = template.format(port=port, connections=CONNECTIONS, upstream=upstream and upstream.port)
    command = ["nginx", "-p", ".", "-c", "nginx.conf"]
    return Server(name, url, command, port, files={"nginx.conf": config}, upstream=upstream)


def install(*packages):
    """Those of nats-server, nginx and libnginx-mod-nchan that are missing, from the distribution."""
    present = {"nats-server": shutil.which("nats-server"), "nginx": shutil.which("nginx"),
               "libnginx-mod-nchan": Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists()}
    missing = [package for package in packages if not present[package]]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-q", *missing]
    if os.geteuid() != 0:
        sys.exit(f"the bench compares with peers that are missing; as root: {' '.join(command)}")
    print(f"installing system-wide: {' '.join(command)}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    state_listen, local = "0A", f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(local) and row[3] == state_listen for row in rows)
