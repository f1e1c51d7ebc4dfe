"""The gateway with all that watches and steers it, and without."""

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


class Listener(servers.Server):
    """A webhook's receiver, a subscriber to all events, and who has a client traced. A run in which it heard nothing of
    one kind was no run with the systems on."""

    def __init__(self, admin):
        port = servers.free_port()
        self.heard = tempfile.NamedTemporaryFile("w+", suffix=".json")
        script = Path(__file__).with_name("listener.py")
        command = [sys.executable, script, port, admin, TRACED, self.heard.name]
        super().__init__("listener", "http://{}/", command, port, core=servers.GENERATOR_CORE)

    def _stop(self):
        super()._stop()
        heard = json.loads(self.heard.read() or "{}")
        if not all(heard.get(kind) for kind in ("posts", "events", "steps")):
            sys.exit(f"the systems were not all on: the listener heard {heard}")


def on():
    """As configured by default, with a webhook, a subscriber to the bus, and one client traced."""
    admin = servers.free_port()
    listener = Listener(admin)
    return configured(servers.weir(admin=admin), ON.format(hook=listener.url), listener)


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
