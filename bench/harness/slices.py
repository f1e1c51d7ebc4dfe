"""Servers that take turns within a second: a core's speed changes from one second to the next, and so falls on all."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import servers

# There and back through all rivals: none is always first, and what drifts evenly is no one's.
PASSES = 8
# All clients connect before the first.
SETTLE_SECONDS = 0.2


class Rival:
    """A server that runs, and its generator, which waits for the next slice."""

    def __init__(self, server, load):
        self.server, self.pids = server, server.pids.split(",")
        command = ["taskset", "-c", servers.GENERATOR_CORE, servers.BINARIES / "weir-loadgen", *load, "--slices",
                   "--url", server.url]
        self.process = subprocess.Popen([str(word) for word in command], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.process:
            self.process.stdin.close()

    def load(self, seconds):
        """Loads the server for so long; says how many messages it has answered since it began."""
        self.process.stdin.write(f"{seconds * 1000:.0f}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"load on {self.server.name} failed: {self.process.args}")
        return int(answer)

    def cpu_seconds(self):
        """What all threads of the server have used, to the nanosecond."""
        tasks = [task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def interleave(args, results, title, rivals):
    """In every round starts all rivals and has them answer in turn; returns their figures by name: messages per
    server-CPU-second of each pass. What a server does while others answer is its own, too."""
    results.say(f"\n## {title}\n")
    rounds = []
    for number in range(args.pairs):
        names = list(rivals)
        shift = number % len(names)
        rounds.append(one_round(args, rivals, names[shift:] + names[:shift]))
        for name, passes in rounds[-1].items():
            results.say(f"{number + 1:2}  {name:6} {median(passes):>9.0f} per server-CPU-s")
        results.add(title=title, round=number + 1, **rounds[-1])
    results.say()
    return rounds


def one_round(args, rivals, names):
    slice_seconds = args.seconds / PASSES / 2
    with contextlib.ExitStack() as stack:
        running = {}
        for name in names:
            start, load = rivals[name]
            running[name] = stack.enter_context(Rival(stack.enter_context(start()), load))
        time.sleep(SETTLE_SECONDS)
        count = {name: running[name].load(args.warmup) for name in names}
        used = {name: running[name].cpu_seconds() for name in names}
        figures = {name: [] for name in names}
        for _ in range(PASSES):
            before, count = count, {}
            for name in names + names[::-1]:
                count[name] = running[name].load(slice_seconds)
            earlier, used = used, {name: running[name].cpu_seconds() for name in names}
            for name in names:
                figures[name].append((count[name] - before[name]) / (used[name] - earlier[name]))
        return figures


def ratios(rounds, name, rival):
    """Of each round the median of its passes' ratios."""
    return [median(mine / other for mine, other in zip(run[name], run[rival])) for run in rounds]
