"""What a run printed, kept: bench/results/DATE-BENCH.{md,json}."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
BUSY_LOAD = 0.5


class Results:
    """Prints each line at once and keeps it, with the raw figures beside."""

    def __init__(self, bench):
        self.bench, self.lines, self.runs, self.verdicts = bench, [], [], []
        self.date = time.strftime("%Y-%m-%d-%H%M%S")
        self.say(f"# {bench}, {self.date}")
        self.machine = machine()
        self.say(self.machine)
        if os.getloadavg()[0] > BUSY_LOAD:
            self.say(f"The machine is busy (load {os.getloadavg()[0]:.1f}): take these figures for a look only.")

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def add(self, **figures):
        self.runs.append(figures)

    def write(self):
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / f"{self.date}-{self.bench}"
        stem.with_suffix(".md").write_text("\n".join(self.lines) + "\n")
        record = {"bench": self.bench, "machine": self.machine, "runs": self.runs, "verdicts": self.verdicts}
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        print(f"written: {stem}.md, .json")


def machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    commit = said(["git", "describe", "--always", "--dirty"])
    return f"{model}, Linux {platform.release()}, weir {commit}"


def said(command):
    """What a command prints on both outputs, or `-`."""
    try:
        done = subprocess.run(command, cwd=RESULTS.parent, text=True, capture_output=True)
    except FileNotFoundError:
        return "-"
    return (done.stdout + done.stderr).strip()
