"""Memory: book-keeping per stored object, and memory per idle TLS connection.

Each figure comes from a server started afresh: what its processes hold (anonymous and shared
memory, shared pages once) after the load minus before it, divided by the number of objects
(as the origin counted them) or connections.
"""

import contextlib
import json
import socket
import time

import load
import machine
import rows
from servers import get

BODY_BYTES = 256


def per_object(world, server, count):
    """Bytes beyond head and body for each of `count` small objects."""
    rows.fill(server, world.cores, BODY_BYTES, "warm", 2000)
    settle()
    held, stored = machine.memory(server.pids()), world.origin_requests()
    rows.fill(server, world.cores, BODY_BYTES, "small", count)
    settle()
    grown = machine.memory(server.pids()) - held
    stored = world.origin_requests() - stored
    head = head_bytes(world)
    on_disk = server.folder is not None
    payload = 0 if on_disk else head + BODY_BYTES
    result = {
        "server": server.name,
        "objects": stored,
        "bytes_each": grown / stored,
        "head_bytes": head,
        "body_bytes": BODY_BYTES,
        "bookkeeping_bytes": grown / stored - payload,
        "note": "head and body are in a file each" if on_disk else "",
    }
    if server.name == "headland":
        status = json.loads(get(server.ports["admin"], "/v1/status").body)
        tier = next(tier for tier in status["data"]["tiers"] if tier["tier"] == "memory")
        # What the tier weighs an object with, for its capacity: it should be no less than held.
        counted = tier["bytes"] / tier["objects"]
        result["note"] = f"{grown / stored:.0f} in all, {counted:.0f} by the tier's own count"
    return result


def head_bytes(world):
    """Bytes of the header lines that a cache has to keep: the origin's, without those that each
    connection or the length of the body makes anew. What a cache adds when it answers (Age, Via)
    is not in it: that is not stored."""
    fields = get(world.origin_port, f"/o/{BODY_BYTES}/head").headers.items()
    made_anew = ("connection", "keep-alive", "content-length")
    kept = [field for field in fields if field[0].lower() not in made_anew]
    return sum(len(f"{name}: {value}\r\n") for name, value in kept)


def per_connection(world, server, count):
    """Bytes for each of `count` TLS 1.3 connections that made one request and now wait."""
    context = rows.client_tls()
    path = "/o/1024/idle"
    opened = []
    try:
        open_connection(server, context, path, opened)
        settle()
        held = machine.memory(server.pids())
        for _ in range(count):
            open_connection(server, context, path, opened)
        settle()
        grown = machine.memory(server.pids()) - held
        check_open(opened)
    finally:
        for connection in opened:
            connection.close()
    return {"server": server.name, "connections": count, "bytes_each": grown / count}


def open_connection(server, context, path, opened):
    """Connects, makes one request by h1, reads all of the answer, and leaves it open."""
    plain = socket.create_connection(("127.0.0.1", server.ports["tls"]), 10)
    connection = context.wrap_socket(plain, server_hostname="localhost")
    opened.append(connection)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, body = received.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise rows.Wrong(f"{server.name}: {head[:80]!r}")
    while len(body) < 1024:
        body += more(connection)


def more(connection):
    """The next bytes; an end is a fault here."""
    data = connection.recv(16384)
    if not data:
        raise rows.Wrong("the server closed a connection it should keep")
    return data


def check_open(opened):
    """Raises when the server has closed connections meanwhile: they would cost nothing."""
    closed = 0
    for connection in opened:
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            closed += connection.recv(1) == b""
    if closed:
        raise rows.Wrong(f"{closed} of {len(opened)} idle connections were closed")


def settle():
    """A moment for stores that finish behind the answer."""
    time.sleep(1.0)


def measure_all(world, kinds, objects, connections, tell):
    """Both measurements for each server kind, each with a fresh process."""
    results = {"objects": [], "connections": []}
    faults = []
    plan = (("objects", per_object, objects), ("connections", per_connection, connections))
    for kind in kinds:
        for name, measurement, count in plan:
            if name == "objects" and not kind.grows:
                continue
            server = None
            try:
                server = kind(world)
                result = measurement(world, server, count)
                results[name].append(result)
                shown = result.get("bookkeeping_bytes", result["bytes_each"])
                note = result.get("note", "")
                tell(f"  memory   {name:12} {kind.name:12} {shown:9.0f} bytes each {note}")
            except rows.FAULTS as fault:
                faults.append(f"{kind.name}, memory of {name}: {fault}")
                tell(f"  ! {faults[-1]}")
            finally:
                if server is not None:
                    server.close()
    return results, faults
