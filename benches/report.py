"""The result: medians, ratios with their spread, Markdown for the README, JSON for machines.

A ratio is taken within each round (headland against the peer in the same round) and given as the
median with the lowest and highest round; above 1 headland does more per server-CPU-second.
"""

import json
from statistics import median

OWN = "headland"
# Who a row from disk is about.
OWN_DISK = "headland disk"


def by_row(samples):
    """{row: {server: [samples, by round]}} in the order measured."""
    table = {}
    for sample in samples:
        table.setdefault(sample.row, {}).setdefault(sample.server, []).append(sample)
    return table


def ratios(own, peer):
    """headland/peer in requests per CPU-second, for the rounds that both have."""
    theirs = {sample.round: sample for sample in peer}
    return [theirs[s.round].us / s.us for s in own if s.round in theirs]


def summary(samples):
    """One entry a row and server: medians, spread, ratio, notes."""
    entries = []
    for row, servers in by_row(samples).items():
        own = OWN_DISK if OWN_DISK in servers else OWN
        for server, runs in servers.items():
            entry = {
                "row": row,
                "server": server,
                "rounds": len(runs),
                "us_per_request": median(run.us for run in runs),
                "us_min": min(run.us for run in runs),
                "us_max": max(run.us for run in runs),
                "requests_per_second": median(run.per_second for run in runs),
                "requests_per_cpu_second": median(1e6 / run.us for run in runs),
                "mib_per_cpu_second": median(run.mib_per_cpu_second for run in runs),
                "server_busy": median(run.server_busy for run in runs),
                "client_busy": median(run.client_busy for run in runs),
                "notes": sorted({run.note for run in runs if run.note}),
            }
            if server != own and own in servers:
                found = ratios(servers[own], runs)
                if found:
                    entry["ratio"] = median(found)
                    entry["ratio_min"], entry["ratio_max"] = min(found), max(found)
            entries.append(entry)
    return entries


def number(value):
    """A figure in three digits or so, thousands set apart."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def line(cells):
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def grid(rows, servers, cell):
    """A Markdown table of rows against servers."""
    head = [line(["row", *servers]), line(["---"] * (len(servers) + 1))]
    return head + [line([row.title, *(cell(row, name) for name in servers)]) for row in rows]


def speed_tables(rows, entries):
    """Two tables: headland's CPU per request with its ratio to each peer; then every figure."""
    found = {(entry["row"], entry["server"]): entry for entry in entries}
    shown = [row for row in rows if any(key[0] == row.key for key in found)]
    servers = list(dict.fromkeys(entry["server"] for entry in entries))

    def ratio(row, server):
        entry = found.get((row.key, server), {})
        if server in (OWN, OWN_DISK) and entry and "ratio" not in entry:
            return f"{number(entry['us_per_request'])} µs"
        if "ratio" not in entry:
            return ""
        return f"**{entry['ratio']:.2f}** ({entry['ratio_min']:.2f}-{entry['ratio_max']:.2f})"

    def figures(row, server):
        entry = found.get((row.key, server))
        if entry is None:
            return ""
        return (
            f"{number(entry['us_per_request'])} µs"
            f" · {number(entry['mib_per_cpu_second'])}"
            f" · {number(entry['requests_per_second'])} at {entry['server_busy']:.0%}"
        ) + "".join(f" [{note}]" for note in entry["notes"])

    return [
        "Server CPU per request of headland, and how many times as many requests it does per"
        " CPU-second as each peer (lowest-highest round):",
        "",
        *grid(shown, servers, ratio),
        "",
        "Server CPU per request · MiB per CPU-second · requests per second at that share of"
        " the core:",
        "",
        *grid(shown, servers, figures),
    ]


def collapse_table(results, clients):
    """Median and worst time to the last byte, and the most origin requests of any round."""
    out = [
        f"{clients} clients at once for a cold 1 MiB object, origin delay 200 ms:",
        "",
        line(["server", "last byte of all, ms (lowest-highest)", "CPU, ms", "origin requests"]),
        line(["---"] * 4),
    ]
    for server in dict.fromkeys(result["server"] for result in results):
        mine = [result for result in results if result["server"] == server]
        times = [result["last_byte_ms"] for result in mine]
        most = max(result["origin_requests"] for result in mine)
        spread = f"{median(times):.0f} ({min(times):.0f}-{max(times):.0f})"
        cpu = [result["cpu_ms"] for result in mine if "cpu_ms" in result]
        out.append(line([server, spread, f"{median(cpu):.0f}" if cpu else "", str(most)]))
    return out


def memory_table(results):
    """Book-keeping per object and memory per idle TLS connection."""
    objects = {result["server"]: result for result in results["objects"]}
    idle = {result["server"]: result for result in results["connections"]}
    counts = [str(result["objects"]) for result in results["objects"][:1]]
    about = f" ({counts[0]} objects of 256 bytes)" if counts else ""
    stored = f"bytes per object beyond head and body{about}"
    out = [line(["server", stored, "KiB per idle TLS 1.3 connection"]), line(["---"] * 3)]
    for server in dict.fromkeys([*objects, *idle]):
        book = objects.get(server)
        text = ""
        if book:
            text = number(book["bookkeeping_bytes"])
            text += f" ({book['note']})" if book["note"] else ""
        held = f"{idle[server]['bytes_each'] / 1024:.1f}" if server in idle else ""
        out.append(line([server, text, held]))
    return out


def disk_table(results):
    """What was measured of the disk tier, part by part."""
    parts = {"index": index_lines, "stores": store_lines, "cold": cold_lines}
    out = [line(["disk tier", "measured"]), line(["---"] * 2)]
    for part, lines in parts.items():
        if part in results:
            out += [line(cells) for cells in lines(results[part])]
    errors = sum(result["errors"] for result in results.values())
    return out + [line(["disk errors in all of these", str(errors)])]


def index_lines(found):
    """The index in memory, and the start over it."""
    seconds, objects = found["seconds"], f"{found['objects']:,} objects of 256 bytes"
    within = f"{found['process_bytes_each']:.1f} is all that the process holds after the start"
    return [
        [f"index, bytes per object ({objects})", f"{found['index_bytes_each']:.1f} ({within})"],
        ["start to ready, page cache warm", f"{seconds['ready']:.2f} s"],
        [
            "start to the first answer, to the object stored last",
            f"{seconds['answered']:.2f} s, a {found['first_answer']}",
        ],
        ["start to all objects found", f"{seconds['found']:.2f} s"],
        ["SIGTERM to its end", f"{found['stop_seconds']:.2f} s"],
    ]


def store_lines(found):
    """Sustained stores against plain appends."""
    plain = " and ".join(number(rate) for rate in found["appends_mib_per_second"])
    return [
        [
            f"misses of 1 MiB stored, {found['stored_mib']:.0f} of {found['asked_mib']} MiB",
            f"{number(found['mib_per_second'])} MiB/s synced,"
            f" {number(found['drained_mib_per_second'])} until none waits",
        ],
        ["plain appends and fsync, before and after", f"{plain} MiB/s"],
        ["stores to appends", f"**{found['ratio']:.2f}**"],
        [
            "server CPU per stored MiB, fetched and served too",
            f"{found['cpu_ms_per_mib']:.2f} ms, its core {found['server_busy']:.0%} busy",
        ],
    ]


def cold_lines(found):
    """Latency of memory hits beside another client."""
    beside = {
        "alone": "alone",
        "cold": f"while {found['objects']:,} x 64 KiB are read cold",
        "warm": "while the same are read again, warm",
    }
    out = []
    for name, text in beside.items():
        runs = [run for run in found["runs"] if run["beside"] == name]
        p99, longest = [run["p99_us"] for run in runs], [run["max_us"] for run in runs]
        read = median(run["device_mib"] for run in runs)
        took = median(run["seconds"] for run in runs)
        server = median(run["server_waited"] for run in runs)
        client = median(run["client_waited"] for run in runs)
        out.append(
            [
                f"1 KiB memory hits {text}",
                f"p99 {number(median(p99))} ({number(min(p99))}-{number(max(p99))}) µs,"
                f" longest {number(median(longest))} ({number(min(longest))}-"
                f"{number(max(longest))}) µs; {took:.1f} s, {read:.0f} MiB from the device,"
                f" server and client waited {server:.0%} and {client:.0%} for their cores",
            ]
        )
    return out


def purge_table(found):
    """What was measured of purges."""
    objects, passes, dry = f"{found['objects']:,}", found["look_up_us"], found["dry_run"]
    out = [line([f"purges, {objects} objects in memory", "measured"]), line(["---"] * 2)]
    for name, took in found["purge_ms"].items():
        text = f"p50 {took['p50']:.2f}, p99 {took['p99']:.2f}, longest {took['max']:.2f} ms"
        out.append(line([f"answer to a purge of {name} ({took['n']})", text]))
    first, then = passes["first"] - passes["before"], passes["then"] - passes["before"]
    about = "about " if dry["estimate"] else ""
    cells = [
        ["server CPU of a hit before a purge", f"{passes['before']:.2f} µs"],
        ["added to an object's first hit after it", f"{first:+.2f} µs, then {then:+.2f} µs"],
        [
            "dry run of the tag of all",
            f"{found['dry_run_ms']:.0f} ms, {about}{dry['objects']:,} objects",
        ],
        [
            "all freed by the sweep",
            f"{found['sweep_seconds']:.1f} s, {found['sweep_cpu_seconds']:.1f} s of CPU",
        ],
        ["memory for each object, head and body too", f"{found['bytes_each']:.0f} bytes"],
    ]
    return out + [line(row) for row in cells]


def fleet_table(found):
    """What was measured of the fan-out, by the delay on each node's way."""
    nodes = int(next(iter(found.values()))["nodes"])
    heads = [f"{delay} ms on each way" for delay in found]
    out = [line([f"one control plane, {nodes:,} nodes", *heads]), line(["---"] * (1 + len(found)))]
    kinds = [
        ("a purge acknowledged by all: p50", "p50_ms", "{:.0f} ms"),
        ("p99", "p99_ms", "{:.0f} ms"),
        ("longest", "max_ms", "{:.0f} ms"),
        ("CPU of the control plane for it", "control_cpu_ms_a_purge", "{:.1f} ms"),
        ("purges a second, 200 asked for, none waited for", "rate", "{:.0f}"),
        ("its share of a core meanwhile", "control_cpu_share", "{:.0%}"),
        ("from the last of them to all acknowledged", "settled_ms", "{:.0f} ms"),
        ("memory of the control plane for each node", "kib_a_node", "{:.1f} KiB"),
        ("all register at once, the first time", "registered_ms", "{:.0f} ms"),
        ("all come back at once, to a purge that all acknowledged", "storm_ms", "{:.0f} ms"),
    ]
    for title, name, form in kinds:
        out.append(line([title, *(form.format(each[name]) for each in found.values())]))
    return out


def markdown(result, rows, conditions, limits):
    """The whole report; `limits` are lines of a table."""
    out = ["## Benchmark", "", *conditions, ""]
    if result["summary"]:
        out += [*speed_tables(rows, result["summary"]), ""]
    if result["collapse"]:
        out += [*collapse_table(result["collapse"], result["collapse_clients"]), ""]
    if any(result["memory"].values()):
        out += [*memory_table(result["memory"]), ""]
    if result["disk"]:
        out += [*disk_table(result["disk"]), ""]
    if result["purge"]:
        out += [*purge_table(result["purge"]), ""]
    if result["fleet"]:
        out += [*fleet_table(result["fleet"]), ""]
    if limits:
        out += [*limits, ""]
    if result["skipped"]:
        out += ["Not measured:", "", *(f"- {text}" for text in result["skipped"]), ""]
    if result["faults"]:
        out += ["Faults (no figure was made of these runs):", ""]
        out += [*(f"- {text}" for text in result["faults"]), ""]
    return "\n".join(out)


def write(folder, result, text):
    """`latest.json` and `latest.md` in the folder."""
    (folder / "latest.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "latest.md").write_text(text)
