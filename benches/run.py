#!/usr/bin/env python3
"""`make bench`: headland, nginx, HAProxy and Varnish side by side, in one run on one machine.

    python3 benches/run.py [--rows h1-1k,h2-1k] [--peers nginx,haproxy] [--rounds 3] [--seconds 3]

Needs two cores, and the programs that `benches/setup.sh` installs; a server that is not there is
left out and named. Traffic goes to loopback alone. Results: Markdown on standard output, and
`bench/latest.json` and `latest.md` in the target folder. The parts: `machine` (cores, processes,
CPU, memory), `servers` (who is measured), `load` (wrk, h2load, h3_load), `rows` (what is measured
and how it is checked), `memory`, `collapse`, `disk`, `purge`, `fleet`, `report`, `limits` (what
the figures are held against: a missed one ends the run with status 2); `instructions` stands by
itself.
"""

import argparse
import datetime
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

# The modules beside this file leave no compiled copies in the source tree.
sys.dont_write_bytecode = True

import collapse
import disk
import fleet
import limits
import load
import machine
import memory
import purge
import report
import rows
import servers

ROOT = Path(__file__).resolve().parent.parent
# Beside the rows of the table; each is a measurement of its own.
EXTRAS = ("collapse", "memory", "disk", "purge", "fleet")
BEGAN = time.monotonic()


def arguments():
    """The command line."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    keys = [row.key for row in rows.ROWS] + list(EXTRAS)
    parse = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parse.add_argument("--rows", default=",".join(keys), help="of: " + ", ".join(keys))
    parse.add_argument(
        "--peers",
        default=",".join(name for name in servers.ALL if name != report.OWN),
        help="of: " + ", ".join(servers.ALL) + " (headland always takes part if it is built)",
    )
    parse.add_argument("--rounds", type=int, default=4, help="interleaved rounds (4)")
    parse.add_argument("--seconds", type=int, default=2, help="length of one run (2)")
    parse.add_argument("--objects", type=int, default=200_000, help="of the memory measurement")
    parse.add_argument("--connections", type=int, default=1000, help="idle TLS connections")
    parse.add_argument("--clients", type=int, default=500, help="of the collapse measurement")
    parse.add_argument(
        "--disk-objects", type=int, default=1_000_000, help="in the index of the disk tier"
    )
    parse.add_argument("--disk-mib", type=int, default=2048, help="stored by misses, on disk")
    parse.add_argument("--disk-cold", type=int, default=2000, help="64 KiB objects read cold")
    parse.add_argument("--purge-objects", type=int, default=1_000_000, help="purged by a tag")
    parse.add_argument("--fleet-nodes", type=int, default=1000, help="of one control plane")
    parse.add_argument("--memory-mib", type=int, default=1024, help="size of each cache (1024)")
    parse.add_argument("--haproxy-bufsize", type=int, default=65536, help="tune.bufsize")
    parse.add_argument("--nginx-sendfile", choices=("on", "off"), default="off")
    parse.add_argument("--cache-dir", help="where nginx keeps its files (/dev/shm)")
    parse.add_argument("--server-core", type=int)
    parse.add_argument("--load-core", type=int)
    parse.add_argument("--headland", type=Path, default=target / "release/headland")
    parse.add_argument(
        "--released-h3", type=Path, default=target / "release/examples/released_h3"
    )
    parse.add_argument("--h3-load", type=Path, default=target / "release/examples/h3_load")
    parse.add_argument(
        "--fleet-load", type=Path, default=target / "release/examples/fleet_load"
    )
    parse.add_argument("--keep", action="store_true", help="keep configs and logs of this run")
    options = parse.parse_args()
    options.output = target / "bench"
    options.rows = options.rows.split(",")
    options.peers = options.peers.split(",")
    for given, known, what in (
        (options.rows, keys, "row"),
        (options.peers, servers.ALL, "peer"),
    ):
        for name in given:
            if name not in known:
                parse.error(f"unknown {what} {name!r}; known: {', '.join(known)}")
    return options


def tell(text):
    """Progress goes to standard error; standard output is the report."""
    print(f"{time.monotonic() - BEGAN:5.0f}s{text}", file=sys.stderr, flush=True)


def start_servers(world, names):
    """Starts each; those that cannot run are returned by name with the reason."""
    running, skipped = [], []
    for name in names:
        try:
            running.append(servers.ALL[name](world))
            tell(f"  {name}: {running[-1].version()}")
        except (servers.Unavailable, RuntimeError, OSError) as reason:
            skipped.append(f"{name}: {reason}")
            tell(f"  {name} SKIPPED: {reason}")
    return running, skipped


def conditions(world, versions, options):
    """What was on, for the reader of the tables."""
    cores = world.cores
    lines = [
        f"- {machine.describe()}.",
        f"- Each server on core {cores.server}, load generator and origin on core {cores.load};"
        f" {options.rounds} interleaved rounds of {options.seconds} s; medians.",
        "- CPU time: all threads and processes of the server, master and cache manager of nginx"
        " and hitch of Varnish included.",
        "- Access log on for every server: headland a file, off its event loop; nginx a file,"
        " buffered; HAProxy a ring in memory, its cheapest; Varnish its log in memory, with"
        " varnishncsa on the load core and not counted. The floor and the released h3 have none.",
        f"- Caches of {options.memory_mib} MiB; nginx keeps files in {world.cache_root},"
        f" sendfile {options.nginx_sendfile}."
        " Certificate ECDSA P-256, TLS 1.3.",
        "- Hits and misses were checked by the origin's counter, lengths and status in each run.",
        "- h3: neither Debian's nginx nor HAProxy nor Varnish has it; the released h3 and"
        f" h3-quinn adapter is the yardstick. Client: {load.h3_client(options.h3_load)}.",
    ]
    return lines + [f"- {name}: {version}" for name, version in versions.items()]


def measure(world, options):
    """Everything asked for, in order: rows, collapse, memory, disk, purge, fleet."""
    names = list(dict.fromkeys([report.OWN, *options.peers]))
    running, skipped = start_servers(world, names)
    versions = {server.name: server.version() for server in running}
    chosen = [row for row in rows.ROWS if row.key in options.rows]
    samples, faults = rows.measure_all(
        world, running, chosen, options.rounds, options.seconds, tell
    )
    collapsing = [s for s in running if s.name in (report.OWN, "nginx", "varnish")]
    collapsed, used = [], {"objects": [], "connections": []}
    if "collapse" in options.rows:
        collapsed, more = collapse.measure_all(
            world, collapsing, options.clients, options.rounds, tell
        )
        faults += more
    caches = [type(server) for server in running if {"h1", "tls"} <= set(server.doors)]
    for server in running:
        server.close()
    if "memory" in options.rows:
        used, more = memory.measure_all(
            world, caches, options.objects, options.connections, tell
        )
        faults += more
    on_disk = {}
    if "disk" in options.rows:
        on_disk, more = disk.measure_all(world, options, tell)
        faults += more
    purged = {}
    if "purge" in options.rows:
        purged, more = purge.measure_all(world, options.purge_objects, tell)
        faults += more
    fanned_out = {}
    if "fleet" in options.rows:
        fanned_out, more = fleet.measure_all(options, tell)
        faults += more
    result = {
        "began": options.began,
        "versions": versions,
        "summary": report.summary(samples),
        "samples": [sample.plain() for sample in samples],
        "collapse": collapsed,
        "collapse_clients": options.clients,
        "memory": used,
        "disk": on_disk,
        "purge": purged,
        "fleet": fanned_out,
        "skipped": skipped,
        "faults": faults,
    }
    held = list(limits.judged(result, rows.ROWS))
    result["missed"] = [what for what, _, _, holds in held if not holds]
    shown = limits.table(held) if held else []
    told = conditions(world, versions, options)
    return result, report.markdown(result, chosen, told, shown)


def main():
    """Sets the stage, measures, writes the result, and clears everything away."""
    options = arguments()
    options.began = datetime.datetime.now().isoformat(timespec="seconds")
    machine.raise_file_limit()
    # An end from outside runs the same clean-up as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.output.mkdir(parents=True, exist_ok=True)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=options.output))
    world = None
    try:
        cores = machine.pick_cores(options.server_core, options.load_core)
        world = servers.World(run, cores, options, rows.BODY_SIZES)
        result, text = measure(world, options)
        report.write(options.output, result, text)
        print(text)
        for what in result["missed"]:
            tell(f"  limit missed: {what}")
        return 1 if result["faults"] else 2 if result["missed"] else 0
    finally:
        if world is not None:
            world.close()
        if options.keep:
            tell(f"  configs and logs: {run}")
        else:
            shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
