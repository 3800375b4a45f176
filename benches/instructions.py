#!/usr/bin/env python3
"""Instructions of a memory hit, by callgrind: before a purge, right after it, and from then on.

    cargo build --release
    python3 benches/instructions.py [--requests 2000] target/release/headland [ANOTHER ...]

Needs valgrind. Each program runs a node with one event loop under callgrind; one connection asks
for one stored object again and again, and what all threads have executed is divided by the number
of requests, so that the engine, the look-up and the log's silence are all in it. The purge is of a
tag that the object does not have; a program that knows no tags is asked to purge another URL.
Traffic goes to loopback alone.
"""

import argparse
import http.client
import http.server
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

import machine

CONFIG = """
[node]
name = "bench"
role = "edge"
workers = 1
[listen]
http = ["127.0.0.1:{http}"]
admin = "127.0.0.1:{admin}"
[cache]
memory = "64MiB"
[[origin]]
name = "app"
servers = [{{ url = "http://127.0.0.1:{origin}" }}]
[[site]]
name = "bench"
hosts = ["127.0.0.1"]
origin = "app"
[logging]
access = "off"
"""
SECONDS_MAX = 120.0
ROUNDS = 9


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything with 1 KiB, tagged, fresh for a day."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=86400")
        self.send_header("Surrogate-Key", "page-1 section-2 all")
        self.send_header("Content-Length", "1024")
        self.end_headers()
        self.wfile.write(b"x" * 1024)

    def log_message(self, *_):
        pass


class Node:
    """A node under callgrind."""

    def __init__(self, program, run, origin):
        self.run = run
        self.http, self.admin = machine.free_ports(2)
        config = run / "headland.toml"
        config.write_text(CONFIG.format(http=self.http, admin=self.admin, origin=origin))
        tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=dump"]
        self.process = subprocess.Popen(
            [*tool, Path(program).resolve(), "run", "--config", config],
            cwd=run,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            machine.wait_for(lambda: self.ask("GET", "/readyz")[0] == 200, SECONDS_MAX, program)
            self.connection = socket.create_connection(("127.0.0.1", self.http), SECONDS_MAX)
        except BaseException:
            self.close()
            raise

    def ask(self, method, path, body=None):
        """Status and JSON of the private door."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=SECONDS_MAX)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def purge(self):
        """Purges what the object is not covered by."""
        others = (
            {"kind": "tag", "value": "another"},
            {"kind": "url", "value": "http://127.0.0.1/another"},
        )
        for command in others:
            status, _ = self.ask("POST", "/v1/purges?wait=true", json.dumps(command))
            if status == 200:
                return
        raise RuntimeError(f"a purge was answered with {status}")

    def hits(self, count):
        """Asks so often for the object, one request at a time."""
        for _ in range(count):
            self.connection.sendall(b"GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            received = b""
            while b"\r\n\r\n" not in received or len(received.split(b"\r\n\r\n", 1)[1]) < 1024:
                data = self.connection.recv(65536)
                if not data:
                    raise RuntimeError("the node closed the connection")
                received += data
            if not received.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"answered with {received[:60]!r}")

    def instructions(self, count):
        """Of each of so many hits."""
        self.control("--zero")
        self.hits(count)
        self.control("--dump")
        # The counters of one dump are what was executed since they were set to zero.
        newest = max(self.run.glob("dump.*"), key=lambda path: int(path.suffix[1:]))
        totals = re.search(r"^(?:totals|summary): (\d+)", newest.read_text(), re.MULTILINE)
        return int(totals[1]) / count

    def steadily(self, count):
        """Of each of so many hits, in rounds: what comes by the clock falls on few of them."""
        return statistics.median(self.instructions(count // ROUNDS) for _ in range(ROUNDS))

    def one_by_one(self, act):
        """Of one hit by itself, after `act` and whatever that set going."""
        found = []
        for _ in range(ROUNDS):
            act()
            time.sleep(0.5)
            found.append(self.instructions(1))
        return statistics.median(found)

    def control(self, what):
        subprocess.run(
            ["callgrind_control", what, str(self.process.pid)],
            check=True,
            cwd=self.run,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(program, requests, origin):
    """A line for one program."""
    with tempfile.TemporaryDirectory() as folder:
        node = Node(program, Path(folder), origin)
        try:
            node.hits(200)
            before = node.steadily(requests)
            alone = node.one_by_one(lambda: None)
            first = node.one_by_one(node.purge)
            after = node.steadily(requests)
        finally:
            node.close()
    print(
        f"{program}: {before:.0f} instructions a hit, and {after - before:+.0f} once something else"
        f" was purged; {alone:.0f} of one by itself, and {first - alone:+.0f} of the first after that",
        flush=True,
    )


def main():
    """Measures each program by itself."""
    parse = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parse.add_argument("--requests", type=int, default=2000)
    parse.add_argument("programs", nargs="+")
    options = parse.parse_args()
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    for program in options.programs:
        measure(program, options.requests, origin.server_address[1])


if __name__ == "__main__":
    main()
