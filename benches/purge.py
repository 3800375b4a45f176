"""Purges of a node that holds a million tagged objects in memory.

One node with one event loop, filled by misses. Then: how long the private door takes to answer a
purge of a tag that all of them have, or a thousandth, or none, behind every event loop; what the
first look-up after a purge costs each object, by three passes over all of them, the second of them
after a soft purge of a tag that none has; what a dry run tells, and how fast; and how soon the
sweep has freed what a hard purge covers, by the node's own count.
"""

import http.client
import json
import statistics
import time

import load
import machine
import memory
import rows
from servers import Headland, get

BODY_BYTES = 256
PREFIX = "tag"
PURGES = 200
# A sweep in memory looks at 100,000 objects a second.
SECONDS_MAX = 120.0


class Node(Headland):
    """A node whose memory holds them all."""

    name = "headland purged"

    def values(self):
        return {"MEMORY_MIB": 4096, "DISK": ""}

    def fill(self, count):
        """Asks once for each, in order; the server's CPU seconds."""
        seconds = int(SECONDS_MAX + count / 2000)
        url = f"http://localhost:{self.ports['h1']}/"
        used = machine.usage(self.pids())
        arguments = [BODY_BYTES, PREFIX, count]
        done = load.wrk(self.world.cores, url, 64, seconds, "fill.lua", arguments)
        if done.errors or done.requests < count:
            raise rows.Wrong(f"{self.name}: asking for {count}: {done.detail}")
        return machine.usage(self.pids()).since(used).cpu

    def purged_objects(self):
        """Objects freed since the start."""
        text = get(self.ports["admin"], "/metrics").body.decode()
        name = 'headland_purged_objects_total{tier="memory"} '
        found = (line for line in text.splitlines() if line.startswith(name))
        return int(float(next(found, f"{name}0").split()[-1]))

    def objects(self):
        """Objects in memory."""
        status = json.loads(get(self.ports["admin"], "/v1/status").body)
        return next(t for t in status["data"]["tiers"] if t["tier"] == "memory")["objects"]


class Door:
    """One connection to the private door."""

    def __init__(self, node):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.ports["admin"], timeout=60)

    def post(self, command, query=""):
        """Milliseconds to the whole answer, and its data."""
        body = json.dumps(command)
        began = time.monotonic()
        fields = {"Content-Type": "application/json"}
        self.connection.request("POST", f"/v1/purges{query}", body, fields)
        answer = self.connection.getresponse()
        told = json.loads(answer.read())
        took = (time.monotonic() - began) * 1000
        if answer.status != 200:
            raise rows.Wrong(f"a purge was answered with {answer.status}: {told}")
        return took, told["data"]

    def purge(self, tag, soft=False):
        """Milliseconds until a purge of a tag is acknowledged."""
        took, data = self.post({"kind": "tag", "value": tag, "soft": soft}, "?wait=true")
        if data["state"] != "complete":
            raise rows.Wrong(f"the purge of {tag} is {data['state']}")
        return took

    def close(self):
        self.connection.close()


def measure(world, node, count):
    """All of it on one node."""
    held = machine.memory(node.pids())
    node.fill(count)
    memory.settle()
    stored = node.objects()
    if stored < 0.99 * count:
        raise rows.Wrong(f"{stored} of {count} objects are stored")
    grown = (machine.memory(node.pids()) - held) / stored
    result = {"objects": stored, "bytes_each": grown}
    fetched = world.origin_requests()
    door = Door(node)
    try:
        door.purge("warm", soft=True)
        result["look_up_us"] = look_ups(node, door, count)
        missed = world.origin_requests() - fetched
        if missed > count * 0.001:
            raise rows.Wrong(f"{missed} look-ups went to the origin")
        result["dry_run_ms"], told = door.post({"kind": "tag", "value": "all"}, "?dry_run=true")
        result["dry_run"] = told
        result |= latencies(node, door, stored)
    finally:
        door.close()
    return result


def look_ups(node, door, count):
    """Microseconds of server CPU for each request of a pass: before, right after, and later."""
    passes = {"before": node.fill(count)}
    door.purge("none", soft=True)
    passes["first"] = node.fill(count)
    passes["then"] = node.fill(count)
    return {name: cpu / count * 1e6 for name, cpu in passes.items()}


def latencies(node, door, stored):
    """Milliseconds of purges by how many objects they cover, and of the sweep behind them."""
    idle = [door.purge(f"none{n}", soft=True) for n in range(PURGES)]
    part = [door.purge(f"g{n:03}") for n in range(PURGES)]
    began, used = time.monotonic(), machine.usage(node.pids())
    every = door.purge("all")
    # Another right behind it, while the first is swept.
    beside = [door.purge(f"none{n}") for n in range(PURGES)]
    machine.wait_for(
        lambda: node.purged_objects() >= stored, SECONDS_MAX, "the sweep", node.processes[0]
    )
    seconds = time.monotonic() - began
    cpu = machine.usage(node.pids()).since(used).cpu
    return {
        "purge_ms": {
            "a tag that none has, soft": spread(idle),
            "a tag of a thousandth": spread(part),
            "the tag of all": spread([every]),
            "a tag that none has, beside the sweep": spread(beside),
        },
        "sweep_seconds": seconds,
        "sweep_cpu_seconds": cpu,
        "left": node.objects(),
    }


def spread(times):
    """Median, 99th percentile and the longest."""
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50": statistics.median(ordered), "p99": p99, "max": ordered[-1], "n": len(ordered)}


def measure_all(world, count, tell):
    """The measurement, with a process of its own; what it found, and the faults."""
    node = None
    try:
        node = Node(world)
        result = measure(world, node, count)
    except rows.FAULTS as fault:
        tell(f"  ! purges: {fault}")
        return {}, [f"purges: {fault}"]
    finally:
        if node is not None:
            node.close()
    for name, took in result["purge_ms"].items():
        tell(f"  purge    {name:40} p50 {took['p50']:.2f} p99 {took['p99']:.2f} ms")
    return result, []
