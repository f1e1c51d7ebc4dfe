"""The gateway with all that watches and steers it, or with what a house has that watches all its programs, and without."""

import json
import sys
import tempfile
from pathlib import Path

from harness import servers

# Of the load's clients, the one that is traced.
TRACED = "u0"

ON = """\
[[webhook]]
name = "listener"
url = "{hook}"
topics = ["*"]
secret = "sixteen bytes or more"
"""

OFF = """\
[vsm]
events = false
[control]
admission = false
shedding = false
[intelligence]
enabled = false
timed_turns = 0
[alerts]
enabled = false
[rules]
injection = "off"
backend_injection = "off"
"""


OBSERVED = """\
[tracing]
endpoint = "{collector}"
sampling_rate = 0.01
"""


class Listener(servers.Server):
    """A script of this folder that hears the gateway with that admin port. A run in which it heard nothing of one of
    `kinds` was no run with the systems on."""

    def __init__(self, script, kinds, admin, *arguments):
        port = servers.free_port()
        self.kinds, self.heard = kinds, tempfile.NamedTemporaryFile("w+", suffix=".json")
        path = Path(__file__).with_name(script)
        command = [sys.executable, path, port, admin, self.heard.name, *arguments]
        super().__init__("listener", "http://{}/", command, port, core=servers.GENERATOR_CORE)

    def _stop(self):
        super()._stop()
        heard = json.loads(self.heard.read() or "{}")
        if not all(heard.get(kind) for kind in self.kinds):
            sys.exit(f"the systems were not all on: the listener heard {heard}")


def on():
    """As configured by default, with a webhook, a subscriber to the bus, and one client traced."""
    admin = servers.free_port()
    listener = Listener("listener.py", ("posts", "events", "steps"), admin, TRACED)
    return configured(servers.weir(admin=admin), ON.format(hook=listener.url), listener)


def observed():
    """As configured by default, with spans for a collector, /metrics scraped and the dashboard open."""
    admin = servers.free_port()
    observer = Listener("observer.py", ("spans", "scrapes", "figures"), admin)
    return configured(servers.weir(admin=admin), OBSERVED.format(collector=observer.url), observer)


def off():
    """Nothing is said, looked at, judged or refused beyond what every request needs."""
    return configured(servers.weir(), OFF)


def configured(server, text, beside=None):
    server.files["weir.toml"] = text
    server.command += ["-c", "weir.toml"]
    server.upstream = beside
    return server


def names(users):
    """The load's clients by name, for the generator's `--tokens`: without authentication nobody reads a token."""
    return "\n".join(f"-&client_id=u{number}" for number in range(users))
