"""The limits that the figures are held against: what the node is to reach, and whether it does.

Each is judged by the median of its rounds, and only where it was measured. A machine that is busy
with something else misses some; run it again on a quiet one before believing a miss.
"""

from statistics import median

import report

# How many times as many requests per server-CPU-second as that peer.
RATIOS = {
    "h1-1k": {"nginx": 1.15, "haproxy": 1.0, "varnish": 1.3},
    "h1-64k": {"nginx": 1.1},
    "h1-10m": {"nginx": 1.3},
    "tls-1k": {"nginx": 1.2},
    "h2-1k": {"nginx": 1.0},
    "h2-64k": {"nginx": 1.2},
    "h3-1k": {"released h3": 1.7},
    "h3-64k": {"released h3": 1.7},
    "h3-10m": {"released h3": 1.7},
    "miss": {"nginx": 1.0},
    "disk-16k": {"nginx": 1.0},
    "disk-64k": {report.OWN: 0.9},
    "disk-10m": {report.OWN: 0.9, "nginx": 1.3, "nginx sendfile": 1.0},
    "disk-tls": {report.OWN: 0.9},
}


def judged(result, rows):
    """(what, asked, found, whether it holds) of each limit that was measured."""
    titles = {row.key: row.title for row in rows}
    ratios = {
        (entry["row"], entry["server"]): entry["ratio"]
        for entry in result["summary"]
        if "ratio" in entry
    }
    for row, peers in RATIOS.items():
        for peer, least in peers.items():
            if (found := ratios.get((row, peer))) is not None:
                what = f"{titles[row]}: times {'memory' if peer == report.OWN else peer}"
                yield what, f"{least:.2f}", f"{found:.2f}", found >= least
    for what, most, found in plain(result):
        yield what, f"at most {report.number(most)}", report.number(found), found <= most


def plain(result):
    """(what, the most, found) of each limit that is no ratio to a peer's figure."""
    yield from of_collapse(result["collapse"])
    yield from of_memory(result["memory"])
    yield from of_disk(result["disk"])
    yield from of_purges(result["purge"])
    for delay, found in result["fleet"].items():
        yield f"a purge acknowledged by all, {delay} ms on each way: p99, ms", 250, found["p99_ms"]
        yield f"memory of a connected node, {delay} ms on each way: KiB", 50, found["kib_a_node"]
        late = found["settled_ms"]
        most = 250 + 2 * delay
        yield f"behind 200 purges a second at their end, {delay} ms on each way: ms", most, late


def of_collapse(results):
    """500 clients for a cold object: the last byte, and the origin's requests."""
    mine = [found for found in results if found["server"] == report.OWN]
    if mine:
        last = median(found["last_byte_ms"] for found in mine)
        yield "a crowd for a cold object: last byte of all, ms", 350, last
        most = max(found["origin_requests"] for found in mine)
        yield "a crowd for a cold object: requests to the origin", 1, most


def of_memory(results):
    """Book-keeping per object, and idle TLS connections."""
    own = report.OWN
    for found in (found for found in results["objects"] if found["server"] == own):
        yield "memory beyond head and body of an object, bytes", 400, found["bookkeeping_bytes"]
    for found in (found for found in results["connections"] if found["server"] == own):
        yield "memory of an idle TLS connection, KiB", 16, found["bytes_each"] / 1024


def of_disk(results):
    """The index, the start, and stores against plain appends."""
    if found := results.get("index"):
        yield "disk index, bytes for each object", 48, found["index_bytes_each"]
        yield "start to ready over what is stored, s", 1, found["seconds"]["ready"]
    if found := results.get("stores"):
        yield "plain appends and fsync, times sustained stores", 1 / 0.6, 1 / found["ratio"]


def of_purges(found):
    """Purges over a million objects."""
    if found:
        took = max(took["p99"] for took in found["purge_ms"].values())
        yield "answer to a purge of a tag, every kind measured: p99, ms", 5, took


def table(limits):
    """A Markdown table of what was asked and found."""
    out = [report.line(["limit", "asked", "found", ""]), report.line(["---"] * 4)]
    for what, asked, found, holds in limits:
        out.append(report.line([what, asked, found, "" if holds else "**missed**"]))
    return out
