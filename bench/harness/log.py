"""The disk tier's own measurements: what the disk can do alone, and how long a log takes to be read."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import servers

LOG_BYTES = 1 << 30
PROBE_WRITES = 200
RECOVERY_SECONDS = 120
# A log that is to be read must not grow old meanwhile.
KEEP = {"WEIR_OUTBOX_MAX_AGE": "24h"}


def probe(results):
    """What one write to the disk takes, for the sizes that batches have."""
    for size in (16 << 10, 64 << 10, 1 << 20):
        with tempfile.NamedTemporaryFile(dir=servers.BINARIES) as file:
            os.posix_fallocate(file.fileno(), 0, size * PROBE_WRITES)
            taken = sorted(write(file.fileno(), os.urandom(size), at * size) for at in range(PROBE_WRITES))
        results.add(probe_bytes=size, seconds=taken)
        p50, p99 = (1e3 * taken[int(part * PROBE_WRITES)] for part in (0.5, 0.99))
        results.say(f"one synchronous write of {size >> 10:4} KiB: p50 {p50:.2f}  p99 {p99:.2f} ms")


def write(file, data, offset):
    start = time.perf_counter()
    os.pwritev(file, [data], offset, os.RWF_DSYNC)
    return time.perf_counter() - start


def recovery(args, results):
    """Fills a log, kills the gateway, and starts it again and again, from a cold cache where root may empty it.
    Returns the ratios of what the gateway took to what reading the files takes."""
    quantity = LOG_BYTES // 8 if args.quick else LOG_BYTES
    results.say(f"\n## Recovery of {quantity >> 20} MiB\n")
    with tempfile.TemporaryDirectory(dir=servers.BINARIES) as folder:
        fill(Path(folder), quantity)
        ratios = []
        for number in range(1, args.pairs + 1):
            cold = forget()
            reading = read(Path(folder))
            forget()
            with servers.weir(data_dir=folder, env=KEEP) as server:
                recovering, said = recovered(server)
                server.process.kill()
            ratios.append(recovering / reading)
            results.add(round=number, cold=cold, reading_seconds=reading, recovery_seconds=recovering)
            results.say(f"{number:2}  {'cold' if cold else 'warm'}: reading {reading:.2f} s, recovery {recovering:.2f} s"
                        f"  ({said})")
    results.say()
    return ratios


def fill(folder, quantity):
    load = ["publish", "--clients", 8, "--bytes", 1000, "--warmup", "0.5", "--seconds", "2"]
    with servers.weir(url="http://{}/", data_dir=folder, env=KEEP) as server:
        while sum(path.stat().st_size for path in logs(folder)) < quantity:
            command = ["taskset", "-c", servers.GENERATOR_CORE, servers.BINARIES / "weir-loadgen", *load, "--url", server.url]
            done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
            if done.returncode != 0:
                sys.exit(f"the log could not be filled:\n{done.stdout}{done.stderr}")
        server.process.kill()
        server.process.wait()


def logs(folder):
    return sorted((folder / "log").glob("*.log"))


def forget():
    """Empties the page cache; false if that is not allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        return False
    return True


def read(folder):
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    for path in logs(folder):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - start


def recovered(server):
    """What the gateway says it took. Its ports are open before that, so that clients find it and wait."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        said = Path(server.log.name).read_text(errors="replace")
        found = re.search(r"recovered (files=.*? milliseconds=(\d+))", said)
        if found:
            return max(int(found[2]), 1) / 1e3, found[1]
        if server.process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the gateway did not say that it recovered:\n{said[-2000:]}")
        time.sleep(0.05)
