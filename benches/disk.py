"""The disk tier: its index and its start, how fast it stores, and whether cold pages stall hits.

Each part has a node of its own, one event loop on the servers' core, with 32 MiB of memory over
4 GiB in the folder of the run: a disk, where the folder of the results is on one. What has to
reach the disk is synced by the bench within the time that counts, for the node as for the plain
appends it is held against. Cold pages are made with the node down: only then does the kernel let
go of what was mapped; that they were cold is checked by what the node then read from the device.
"""

import contextlib
import json
import os
import signal
import statistics
import time

import load
import machine
import rows
from servers import Headland, get

SMALL_BYTES = 256
STORED_BYTES = rows.MIB
COLD_BYTES = 64 * rows.KIB
HOT_BYTES = rows.KIB
# Each with a pause between its requests: these are to be waited for, not to fill the core.
HOT_CONNECTIONS = 8
# MiB stored behind what is to be cold: more than a segment, since a start reads the newest one.
BEHIND = 160
# Patience with what has no bound of its own: a fill, a queue that empties, a start.
SECONDS_MAX = 60.0


class Node(Headland):
    """A node whose disk tier is on the disk of the run, and which can be stopped and started."""

    name = "headland on disk"

    def values(self):
        self.folder = self.world.run / f"tier-{self.ports['h1']}"
        tier = f'disk = {{ path = "{self.folder}", size = "4GiB" }}'
        return {"MEMORY_MIB": 32, "DISK": tier}

    def stop(self):
        """SIGTERM, and the seconds until it is gone; that it has to be killed is a fault."""
        (process,) = self.processes
        began = time.monotonic()
        process.stop(patience=SECONDS_MAX)
        if process.child.returncode != 0:
            raise rows.Wrong(f"ended with {process.child.returncode}: {process.tail()}")
        return time.monotonic() - began

    def start(self):
        """Starts it over what it has stored; returns before it is ready."""
        (ended,) = self.processes
        self.processes.remove(ended)
        self.world.processes.remove(ended)
        self.begin(ended.command, self.name)

    def is_ready(self):
        """Whether it takes traffic."""
        return get(self.ports["admin"], "/readyz").status == 200

    def tier(self):
        """What its status tells of the disk tier."""
        status = json.loads(get(self.ports["admin"], "/v1/status").body)
        return next(tier for tier in status["data"]["tiers"] if tier["tier"] == "disk")

    def metric(self, name):
        """One figure of its metrics."""
        text = get(self.ports["admin"], "/metrics").body.decode()
        line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    def of_disk(self, name):
        """One figure of the disk tier's metrics."""
        return int(self.metric(f'headland_store_{name}{{tier="disk"}}'))

    def errors(self):
        """Failed reads and writes, and damage found, since the start."""
        return int(self.metric("headland_disk_errors_total"))

    def wait_until(self, probe, what):
        """Asks again and again until `probe` is true."""
        (process,) = self.processes
        machine.wait_for(probe, SECONDS_MAX, f"{self.name}: {what}", process)

    def written(self):
        """Waits until nothing waits to be written."""
        self.wait_until(lambda: self.of_disk("waiting_bytes") == 0, "all written")

    def fill(self, size, prefix, count, connections=64):
        """Asks once for each of `count` objects, in order, and again for as few as there are
        connections. It may take as long as 2,000 a second do, and 20 MiB a second."""
        seconds = int(SECONDS_MAX + count / 2000 + count * size / (20 * rows.MIB))
        url = f"http://localhost:{self.ports['h1']}/"
        arguments = [size, prefix, count, connections]
        done = load.wrk(self.world.cores, url, connections, seconds, "fill.lua", arguments)
        if done.errors or done.requests < count:
            raise rows.Wrong(f"filling {count} x {size}: {done.detail}")

    def files(self):
        """Its segment files, open for reading, one after the other."""
        for path in sorted(self.folder.glob("*.segment")):
            # The node may be reclaiming one this very moment.
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
                yield file.fileno()

    def sync(self):
        """Has the kernel write what the node has written."""
        for file in self.files():
            os.fdatasync(file)

    def forget_pages(self):
        """Drops its segments from the page cache; the node has to be down."""
        self.sync()
        for file in self.files():
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def device_bytes(self):
        """Bytes that it had the kernel read from a device, faults in its maps included."""
        with open(f"/proc/{self.processes[0].pid}/io") as io:
            return next(int(line.split()[1]) for line in io if line.startswith("read_bytes:"))


def index_and_start(world, node, count):
    """Memory per stored object, and the start over `count` of them, page cache warm."""
    empty = machine.memory(node.pids())
    # More than one round where the queue was full: what is there is not asked of the origin again.
    for _ in range(3):
        node.fill(SMALL_BYTES, "each", count)
        node.written()
        if node.of_disk("objects") >= count:
            break
    objects, index = node.of_disk("objects"), node.of_disk("index_bytes")
    refused = node.of_disk("refused_total")
    stopped = node.stop()
    # The start is not to wait behind what the kernel still has to write.
    os.sync()
    fetched = world.origin_requests()
    began = time.monotonic()
    node.start()
    steps = {
        "ready": node.is_ready,
        "answered": lambda: answers(node, f"each{count - 1}"),
        "found": lambda: node.tier()["objects"] >= objects,
    }
    times = {}
    for step, probe in steps.items():
        node.wait_until(probe, step)
        times[step] = time.monotonic() - began
    return {
        "objects": objects,
        "refused": refused,
        "index_bytes_each": index / objects,
        "process_bytes_each": (machine.memory(node.pids()) - empty) / objects,
        "stop_seconds": stopped,
        "seconds": times,
        "first_answer": "hit" if world.origin_requests() == fetched else "miss",
        "errors": node.errors(),
    }


def answers(node, name):
    """Whether it serves a small object, from wherever it has it."""
    answer = get(node.ports["h1"], f"/o/{SMALL_BYTES}/{name}")
    if answer.status != 200 or len(answer.body) != SMALL_BYTES:
        raise rows.Wrong(f"after the start: {answer.status}, {len(answer.body)} bytes")
    return True


def stores(world, node, mebibytes):
    """Misses of 1 MiB each, until all is on the disk, between two runs of plain appends."""
    world.make_own(STORED_BYTES, "w", mebibytes)
    # What the origin's files still have to write would be written meanwhile.
    os.sync()
    plain = [appends(world, mebibytes)]
    held = node.of_disk("bytes")
    used = machine.usage(node.pids())
    began = time.monotonic()
    node.fill(STORED_BYTES, "w", mebibytes, connections=16)
    node.written()
    drained = time.monotonic() - began
    used = machine.usage(node.pids()).since(used)
    node.sync()
    synced = time.monotonic() - began
    grown = (node.of_disk("bytes") - held) / rows.MIB
    plain.append(appends(world, mebibytes))
    return {
        "asked_mib": mebibytes,
        "stored_mib": grown,
        "refused": node.of_disk("refused_total"),
        "drained_mib_per_second": grown / drained,
        "mib_per_second": grown / synced,
        "appends_mib_per_second": plain,
        "ratio": grown / synced / statistics.mean(plain),
        "cpu_ms_per_mib": used.cpu * 1000 / grown,
        "server_busy": used.cpu / drained,
        "errors": node.errors(),
    }


def appends(world, mebibytes):
    """MiB a second of appending as much to one file and syncing it, as dd with conv=fsync does,
    of what cannot be compressed."""
    path = world.run / "appends"
    noise = os.urandom(rows.MIB)
    try:
        began = time.monotonic()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for _ in range(mebibytes):
                os.write(file, noise)
            os.fsync(file)
        finally:
            os.close(file)
        return mebibytes / (time.monotonic() - began)
    finally:
        path.unlink(missing_ok=True)


def cold_pages(world, node, options):
    """Latency of memory hits: alone, while a set on disk is read cold, and while it is read again,
    which tells what the second client costs by itself. In rounds, each with a start."""
    count = options.disk_cold
    world.make_own(COLD_BYTES, "cold", count)
    world.make_own(STORED_BYTES, "behind", BEHIND)
    node.fill(COLD_BYTES, "cold", count)
    node.written()
    node.fill(STORED_BYTES, "behind", BEHIND, connections=4)
    node.written()
    stored = node.of_disk("objects")
    read = lambda: node.fill(COLD_BYTES, "cold", count, connections=4)
    plan = (("alone", lambda: time.sleep(options.seconds)), ("cold", read), ("warm", read))
    runs, errors = [], 0
    for _ in range(options.rounds):
        node.stop()
        node.forget_pages()
        node.start()
        node.wait_until(lambda: node.of_disk("objects") >= stored, f"{stored} objects found")
        for name, work in plan:
            runs.append(hits_beside(world, node, name, work))
        cold = runs[-2]["device_mib"]
        # The scrub may have read some of it before.
        if cold * rows.MIB < 0.8 * count * COLD_BYTES:
            raise rows.Wrong(f"the set was not cold: {cold:.0f} MiB came from the device")
        errors += node.errors()
    return {"objects": count, "runs": runs, "errors": errors}


def hits_beside(world, node, name, work):
    """Memory hits by wrk, some thousands a second, for as long as `work` takes."""
    output = world.run / "beside"
    output.unlink(missing_ok=True)
    path = f"/o/{HOT_BYTES}/hot"
    get(node.ports["h1"], path)
    url = f"http://localhost:{node.ports['h1']}{path}"
    command = ["env", f"BENCH_WRK={load.WRK_SCRIPTS}", load.find("wrk"), "-t1", "-d600s"]
    command += [f"-c{HOT_CONNECTIONS}", "-s", load.WRK_SCRIPTS / "paced.lua", url]
    fetched, device = world.origin_requests(), node.device_bytes()
    used = machine.usage(node.pids())
    client = machine.Process(command, world.cores.load, output)
    try:
        began = time.monotonic()
        work()
        took = time.monotonic() - began
        used = machine.usage(node.pids()).since(used)
        asking = machine.usage([client.pid])
        # wrk then tells what it has measured so far.
        client.child.send_signal(signal.SIGINT)
        client.child.wait(10)
    finally:
        client.stop()
    done = load.wrk_result(output.read_text(), 0.0)
    fetched = world.origin_requests() - fetched
    if done.errors or fetched:
        raise rows.Wrong(f"hits beside {name}: {done.detail}, {fetched} origin requests")
    return {
        "beside": name,
        "seconds": took,
        "server_waited": used.delay / took,
        "client_waited": asking.delay / took,
        "device_mib": (node.device_bytes() - device) / rows.MIB,
        "hits_per_second": done.requests / done.seconds,
        "p99_us": done.p99_us,
        "max_us": done.max_us,
    }


def measure_all(world, options, tell):
    """The three parts, each with a fresh node; a fault ends one part alone."""
    results, faults = {}, []
    plan = {
        "index": lambda node: index_and_start(world, node, options.disk_objects),
        "stores": lambda node: stores(world, node, options.disk_mib),
        "cold": lambda node: cold_pages(world, node, options),
    }
    for name, measurement in plan.items():
        node = None
        try:
            node = Node(world)
            results[name] = measurement(node)
            tell(f"  disk     {name:12} {json.dumps(results[name])}")
        except rows.FAULTS as fault:
            faults.append(f"disk, {name}: {fault}")
            tell(f"  ! {faults[-1]}")
        finally:
            if node is not None:
                node.close()
    return results, faults
