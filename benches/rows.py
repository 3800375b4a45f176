"""The rows of the table: what is asked, how it is warmed, measured and checked.

A row is measured in interleaved rounds (A B C D A B C D ...), so that whatever else happens on
the machine falls on all servers alike. Each run is checked: no error, no status but 2xx, the
whole length of each body, and hits and misses as promised, by the origin's own counter.
"""

import ssl
from dataclasses import asdict, dataclass

import load
import machine
from servers import Unavailable, get

KIB = 1024
MIB = 1024 * 1024
RANDOM_BYTES = 20_000 * 16 * KIB
# The servers that a row from disk compares: memory and disk, files read and files sent.
DISK_SERVERS = ("headland disk", "headland", "nginx", "nginx sendfile")
DISK_ONLY = ("headland disk", "nginx sendfile")


@dataclass(frozen=True)
class Row:
    """One line of the table. `door` is h1, tls, h2 or h3; `work` is hit, random or miss."""

    key: str
    title: str
    door: str
    work: str
    size: int
    connections: int = 64
    streams: int = 1
    tier: str = "memory"

    def objects(self):
        """How many objects a row at random has: as many as make the same sum of bytes."""
        return RANDOM_BYTES // self.size

    def port_name(self):
        """The server's door that this row goes through."""
        return "tls" if self.door in ("h2", "h3") else self.door

    def by_bytes(self):
        """Whether requests are counted by bytes moved: large bodies are cut by the clock."""
        return self.size >= MIB and self.door in ("h1", "tls")


ROWS = (
    Row("h1-1k", "1 KiB, h1, 64 connections", "h1", "hit", KIB),
    Row("h1-64k", "64 KiB, h1, 64 connections", "h1", "hit", 64 * KIB),
    Row("h1-10m", "10 MiB, h1, 64 connections", "h1", "hit", 10 * MIB),
    Row("tls-1k", "1 KiB, h1 + TLS 1.3", "tls", "hit", KIB),
    Row("tls-64k", "64 KiB, h1 + TLS 1.3", "tls", "hit", 64 * KIB),
    Row("tls-10m", "10 MiB, h1 + TLS 1.3, 16 connections", "tls", "hit", 10 * MIB, 16),
    Row("h2-1k", "1 KiB, h2, 16 connections x 32 streams", "h2", "hit", KIB, 16, 32),
    Row("h2-64k", "64 KiB, h2, 16 x 32", "h2", "hit", 64 * KIB, 16, 32),
    Row("h2-10m", "10 MiB, h2, 16 x 2", "h2", "hit", 10 * MIB, 16, 2),
    Row("h3-1k", "1 KiB, h3, 16 x 32", "h3", "hit", KIB, 16, 32),
    Row("h3-64k", "64 KiB, h3, 4 x 8", "h3", "hit", 64 * KIB, 4, 8),
    Row("h3-10m", "10 MiB, h3, 4 x 2", "h3", "hit", 10 * MIB, 4, 2),
    Row("random", "20,000 x 16 KiB at random, h1", "h1", "random", 16 * KIB),
    Row("disk-16k", "20,000 x 16 KiB at random, disk, h1", "h1", "random", 16 * KIB, tier="disk"),
    Row("disk-64k", "5,000 x 64 KiB at random, disk, h1", "h1", "random", 64 * KIB, tier="disk"),
    Row("disk-10m", "31 x 10 MiB at random, disk, h1", "h1", "random", 10 * MIB, tier="disk"),
    Row("disk-tls", "5,000 x 64 KiB at random, disk, TLS", "tls", "random", 64 * KIB, tier="disk"),
    Row("miss", "misses that are stored, 1-16 KiB, h1", "h1", "miss", 8704),
)

# Bodies the origin must have: those of the rows, every miss size, and the memory measurement's.
BODY_SIZES = sorted({row.size for row in ROWS} | {n * KIB for n in range(1, 17)} | {256})


@dataclass(frozen=True)
class Sample:
    """One run of one server. Times in seconds; `us` is server CPU per request in microseconds."""

    row: str
    server: str
    round: int
    requests: float
    seconds: float
    bytes: int
    cpu: float
    us: float
    per_second: float
    mib_per_cpu_second: float
    server_busy: float
    client_busy: float
    delayed: float
    origin_requests: int
    note: str

    def plain(self):
        """As a dictionary for JSON."""
        return asdict(self)


class Wrong(Exception):
    """A run whose answers were not what the row promises; it must not become a figure."""


# What ends one server's part in a row, and is told; anything else is a fault of the bench itself.
FAULTS = (Wrong, Unavailable, load.LoadFailed, OSError, RuntimeError)


def client_tls(version=ssl.TLSVersion.TLSv1_3):
    """A client context that trusts the throw-away certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = version
    return context


def serves(server, row):
    """Whether the server has this row at all."""
    if row.tier == "disk":
        return server.name in DISK_SERVERS
    if server.name in DISK_ONLY:
        return False
    if row.door == "h3":
        return "h3" in server.doors
    if "h3" in server.doors and "h1" not in server.doors:
        return False
    if server.name == "floor":
        return row.door == "h1" and row.work == "hit"
    return True


def path_of(row):
    """The one object of a hit row."""
    return f"/o/{row.size}/{row.key}"


def port_of(server, row):
    """The port of the row's door."""
    return server.by_size[row.size] if server.name == "floor" else server.ports[row.port_name()]


def warm(world, server, row):
    """Puts the row's objects into the server's cache and checks status and length."""
    port = port_of(server, row)
    if row.door == "h3":
        for _ in range(2):
            length = load.h3_length(world.cores, port, path_of(row))
            if length != row.size:
                raise Wrong(f"{server.name} {row.key}: {length} bytes")
    elif row.work == "hit":
        context = client_tls() if row.port_name() == "tls" else None
        for _ in range(3):
            answer = get(port, path_of(row), context)
            if answer.status != 200 or len(answer.body) != row.size:
                raise Wrong(
                    f"{server.name} {row.key}: status {answer.status}, {len(answer.body)} bytes"
                )
    elif row.work == "random":
        if row.tier == "disk":
            world.make_own(row.size, "r", row.objects())
        # Twice: what is asked for once may not be worth a place.
        for _ in range(2):
            fill(server, world.cores, row.size, "r", row.objects())


def fill(server, cores, size, prefix, count):
    """Asks once for each of `count` objects, in order, by h1."""
    url = f"http://localhost:{server.ports['h1']}/"
    done = load.wrk(cores, url, 64, 120, "fill.lua", [size, prefix, count])
    if done.errors or done.requests < count:
        raise Wrong(f"{server.name}: filling {count} x {size}: {done.detail}")


def requests_for(world, server, row, seconds):
    """How many requests the server does in about `seconds`, for loads that go by number."""
    by_number = row.door == "h2" or (row.door == "h3" and not world.options.h3_load.exists())
    if not by_number:
        return 0
    trial = row.connections * row.streams * (8 if row.size < MIB else 1)
    rate = 0.0
    # The first trial also warms connections' windows and the allocator; the second is believed.
    for _ in range(2):
        done = run_load(world, server, row, 0, "", trial)
        rate = done.requests / done.seconds
    return max(trial, int(rate * seconds))


def run_load(world, server, row, seconds, tag, requests):
    """The row's load once: as many as `requests` where that is not 0, else for `seconds`."""
    cores = world.cores
    port = port_of(server, row)
    scheme = "https" if row.port_name() == "tls" else "http"
    base = f"{scheme}://localhost:{port}"
    if row.door == "h3" and not requests:
        client, path = world.options.h3_load, path_of(row)
        return load.h3_load(client, cores, port, path, row.connections, row.streams, seconds)
    if row.door == "h3":
        each = max(1, requests // row.connections)
        return load.gtlsclient(cores, port, path_of(row), row.connections, each, row.size)
    if row.door == "h2":
        return load.h2load(cores, base + path_of(row), row.connections, row.streams, requests)
    if row.work == "hit":
        return load.wrk(cores, base + path_of(row), row.connections, seconds)
    if row.work == "random":
        arguments = [row.size, "r", row.objects()]
        return load.wrk(cores, base + "/", row.connections, seconds, "random.lua", arguments)
    return load.wrk(cores, base + "/", row.connections, seconds, "unique.lua", [tag])


def measure(world, server, row, number, seconds, requests):
    """One run: load, CPU before and after, and the checks that make it a figure."""
    origin_before = world.origin_requests()
    tag = f"m{number}-{server.ports['h1']}"
    done, used = load.usage_during(
        server, lambda: run_load(world, server, row, seconds, tag, requests)
    )
    fetched = world.origin_requests() - origin_before
    check(server, row, done, fetched)
    moved = done.total_bytes
    requests = moved / row.size if row.by_bytes() else done.requests
    sample = Sample(
        row=row.key,
        server=server.name,
        round=number,
        requests=requests,
        seconds=done.seconds,
        bytes=moved,
        cpu=used.cpu,
        us=used.cpu / requests * 1e6,
        per_second=requests / done.seconds,
        mib_per_cpu_second=moved / MIB / used.cpu,
        server_busy=used.cpu / done.seconds,
        client_busy=done.client_cpu / done.seconds,
        # Threads wait side by side; more than all of the time says no more than all of it.
        delayed=min(1.0, used.delay / done.seconds),
        origin_requests=fetched,
        note="",
    )
    return Sample(**{**sample.plain(), "note": doubt(sample)})


def check(server, row, done, fetched):
    """Refuses a run with errors, short bodies, or misses where hits were promised."""
    where = f"{server.name} {row.key}"
    if done.requests == 0 and not done.total_bytes:
        raise Wrong(f"{where}: no answer at all")
    if done.errors:
        raise Wrong(f"{where}: {done.detail}")
    if row.work == "miss":
        # Every request a miss; those under way when the clock stopped may add a few.
        if not done.requests * 0.99 <= fetched <= done.requests + 2 * row.connections:
            raise Wrong(f"{where}: {done.requests} requests, {fetched} at the origin")
        return
    if fetched > max(2, done.requests * 0.0005):
        raise Wrong(f"{where}: {fetched} of {done.requests} requests went to the origin")
    if done.total_bytes < done.requests * row.size:
        raise Wrong(f"{where}: {done.total_bytes} bytes for {done.requests} requests")


def doubt(sample):
    """Why a run may not be bound by the server's CPU; empty when it is."""
    if sample.server_busy >= 0.6:
        return ""
    if sample.client_busy >= 0.85:
        return "client-bound"
    if sample.server_busy + sample.delayed >= 0.6:
        return "core shared"
    return "stalled, not CPU-bound"


def measure_all(world, servers, rows, rounds, seconds, tell):
    """All rows, each in interleaved rounds. Faults drop a server from a row, and are told."""
    samples, faults = [], []
    for row in rows:
        taking_part = {}
        for server in servers:
            if serves(server, row):
                try:
                    warm(world, server, row)
                    taking_part[server] = requests_for(world, server, row, seconds)
                except FAULTS as fault:
                    faults.append(f"{server.name}, {row.key}: {fault}")
                    tell(f"  ! {faults[-1]}")
            # Some programs choose a core of their own once they run (hitch's worker does).
            machine.pin(server.pids(), world.cores.server)
        for number in range(rounds):
            for server in list(taking_part):
                try:
                    wanted = taking_part[server]
                    sample = measure(world, server, row, number, seconds, wanted)
                except FAULTS as fault:
                    faults.append(f"round {number}: {fault}")
                    tell(f"  ! {faults[-1]}")
                    del taking_part[server]
                    continue
                samples.append(sample)
                tell(
                    f"  {row.key:8} round {number} {server.name:12} {sample.us:9.2f} us/request"
                    f" {sample.per_second:10.0f}/s  busy {sample.server_busy:4.0%}"
                    f" (client {sample.client_busy:4.0%}, waited {sample.delayed:4.0%})"
                    f" {sample.note}"
                )
    return samples, faults
