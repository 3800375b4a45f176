"""The load generators: wrk (h1), h2load (h2), h3_load (h3), each run for one measurement.

All run on the load generator's core, against loopback, for a bounded time.
"""

import json
import os
import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass

import machine
from servers import HERE, find

WRK_SCRIPTS = HERE / "wrk"
# One suite for all, so that no server encrypts with a cheaper one than another. (wrk cannot be
# told; with its order of preference all servers here agree on TLS_AES_256_GCM_SHA384.)
SUITE = "TLS_AES_128_GCM_SHA256"


@dataclass(frozen=True)
class Load:
    """What one run of a load generator did. What it does not tell is 0."""

    requests: int
    total_bytes: int
    seconds: float
    errors: int
    client_cpu: float
    detail: str = ""
    p99_us: float = 0.0
    max_us: float = 0.0


class LoadFailed(Exception):
    """A load generator that ended with an error; the message is its output."""


def execute(commands, core, seconds):
    """Runs commands at once on the core; their outputs, wall time and CPU time together."""
    environment = {**os.environ, "BENCH_WRK": str(WRK_SCRIPTS)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    children = []
    outputs = []
    try:
        for command in commands:
            children.append(
                subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    env=environment,
                    preexec_fn=lambda: os.sched_setaffinity(0, {core}),
                )
            )
        for child in children:
            left = max(1.0, began + seconds - time.monotonic())
            outputs.append(child.communicate(timeout=left)[0])
    except subprocess.TimeoutExpired as late:
        raise LoadFailed(f"{commands[0][0]} did not end within {seconds} s") from late
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    for child, output in zip(children, outputs):
        if child.returncode != 0:
            raise LoadFailed(f"{child.args[0]} ended with {child.returncode}: {output[-800:]}")
    return outputs, wall, cpu


def wrk(cores, url, connections, seconds, script="done.lua", arguments=()):
    """h1 with keep-alive; the script decides the URLs."""
    command = [find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", WRK_SCRIPTS / script, url]
    if arguments:
        command += ["--", *arguments]
    (output,), _, cpu = execute([command], cores.load, seconds + 40)
    return wrk_result(output, cpu)


def wrk_result(output, cpu):
    """What wrk told by one of our scripts."""
    line = next((line for line in output.splitlines() if line.startswith("JSON ")), None)
    if line is None:
        raise LoadFailed(f"wrk: {output[-800:]}")
    result = json.loads(line[5:])
    return Load(
        requests=result["requests"],
        total_bytes=result["bytes"],
        seconds=result["us"] / 1e6,
        errors=result["socket_errors"] + result["bad_status"],
        client_cpu=cpu,
        detail=f"{result['socket_errors']} socket errors, {result['bad_status']} not 2xx",
        p99_us=result["p99_us"],
        max_us=result.get("max_us", 0.0),
    )


def h2load(cores, url, connections, streams, requests):
    """h2 over TLS, a number of requests; bytes are those of DATA frames alone.

    By number and not by the clock: what a server still works on when a clock stops would cost
    CPU time without counting.
    """
    command = [find("h2load"), "-t1", f"-c{connections}", f"-m{streams}", "-n", requests]
    command += [f"--tls13-ciphers={SUITE}", url]
    (output,), _, cpu = execute([command], cores.load, 60)
    try:
        finished = re.search(r"finished in ([\d.]+)(ms|s|us)", output)
        counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
        statuses = re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
        data = re.search(r"headers \(space savings[^)]*\), \S+ \((\d+)\) data", output)
        bad = sum(int(count) for count in statuses.groups()[1:])
        return Load(
            requests=int(counts[1]),
            total_bytes=int(data[1]),
            seconds=float(finished[1]) * {"s": 1.0, "ms": 1e-3, "us": 1e-6}[finished[2]],
            errors=sum(int(count) for count in counts.groups()[1:]) + bad,
            client_cpu=cpu,
            detail=counts[0] + ", " + statuses[0],
        )
    except (TypeError, AttributeError) as unreadable:
        raise LoadFailed(f"h2load: {output[-800:]}") from unreadable


def h3_client(binary):
    """Which client makes the h3 load, for the report: the repository's own, if it is built."""
    return "benches/h3_load.rs" if binary.exists() else f"gtlsclient, as {binary} does not exist"


def h3_load(binary, cores, port, path, connections, streams, seconds):
    """h3 by the repository's own client, AES-128-GCM offered first as browsers do.

    A stream ends the request it is in when the time is over, so all that was served is counted.
    """
    command = [binary, port, connections, streams, seconds, path]
    (output,), wall, cpu = execute([command], cores.load, seconds + 20)
    counts = re.search(r"(\d+) requests (\d+) bytes (\d+) errors", output)
    if counts is None:
        raise LoadFailed(f"h3_load: {output[-800:]}")
    requests, total, errors = (int(count) for count in counts.groups())
    return Load(requests, total, wall, errors, cpu, output.strip()[-200:])


def gtlsclient(cores, port, path, clients, requests, size):
    """h3: `clients` processes at once, each with one connection and `requests` requests.

    It ends with an error when a stream is cut but tells no byte count; that all bodies of `size`
    bytes came is checked by what the loopback interface carried meanwhile.
    """
    command = [find("gtlsclient"), "-q", "--no-quic-dump", "--no-http-dump"]
    command += ["--exit-on-all-streams-close", "-n", requests, "--max-udp-payload-size=1452"]
    command += ["--handshake-timeout=3s"]
    command += ["127.0.0.1", port, f"https://localhost:{port}{path}"]
    carried = loopback_bytes()
    outputs, wall, cpu = execute([command] * clients, cores.load, 60)
    carried = loopback_bytes() - carried
    total = clients * requests * size
    troubles = sum(output.count("ERR_") for output in outputs)
    if carried < total:
        raise LoadFailed(f"gtlsclient: {carried} bytes on loopback, {total} asked for")
    return Load(clients * requests, total, wall, troubles, cpu, "".join(outputs)[-200:])


def loopback_bytes():
    """Bytes that the loopback interface has carried since it came up."""
    with open("/sys/class/net/lo/statistics/rx_bytes") as counter:
        return int(counter.read())


def h3_length(cores, port, path):
    """The length of the body of one GET by h3, as a foreign client received it into a file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [find("gtlsclient"), "-q", "--exit-on-all-streams-close"]
        command += ["--no-quic-dump", "--no-http-dump", "--download", folder]
        command += ["--handshake-timeout=3s"]
        command += ["127.0.0.1", port, f"https://localhost:{port}{path}"]
        execute([command], cores.load, 20)
        received = os.path.join(folder, path.rsplit("/", 1)[1])
        return os.path.getsize(received) if os.path.exists(received) else 0


def usage_during(server, run):
    """Runs a load and returns it with what the server used meanwhile."""
    before = machine.usage(server.pids())
    load = run()
    return load, machine.usage(server.pids()).since(before)
