"""The micro benches: one line each."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import servers

QUICK = ["--warm-up-time", "0.2", "--measurement-time", "0.5"]


def run(args, results):
    """Runs them all under criterion and says the median of each, in the order they ran."""
    results.say(f"\n{'':38} {'median':>10}  {'95 % interval':23} {'of each message':>15}")
    with tempfile.TemporaryDirectory() as home:
        command = ["cargo", "bench", "-p", "weir-bench", "--bench", "micro", "--", "--noplot"]
        environment = os.environ | {"CRITERION_HOME": home}
        done = subprocess.run(command + (QUICK if args.quick else []), cwd=servers.ROOT, env=environment, text=True,
                              stdout=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"a bench failed:\n{done.stdout}")
        for path in sorted(Path(home).glob("**/new/estimates.json"), key=lambda path: path.stat().st_mtime_ns):
            bench = json.loads(path.with_name("benchmark.json").read_text())
            median = json.loads(path.read_text())["median"]
            results.add(bench=bench["full_id"], nanoseconds=median, throughput=bench["throughput"])
            results.say(line(bench, median))


def line(bench, median):
    of, interval = median["point_estimate"], median["confidence_interval"]
    low, high = (time(interval[bound]) for bound in ("lower_bound", "upper_bound"))
    messages = (bench["throughput"] or {}).get("Elements", 1)
    each = time(of / messages) if messages > 1 else ""
    return f"{bench['full_id']:38} {time(of):>10}  {f'{low} to {high}':23} {each:>15}".rstrip()


def time(nanoseconds):
    for unit in ("ns", "us", "ms"):
        if nanoseconds < 1_000:
            return f"{nanoseconds:.3g} {unit}" if nanoseconds < 100 else f"{nanoseconds:.0f} {unit}"
        nanoseconds /= 1_000
    return f"{nanoseconds:.3g} s"
