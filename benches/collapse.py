"""Collapse: many clients at once ask for a cold object whose origin takes its time.

All connections are open before the first request is sent. Time runs from the first request to
the last byte of the last client. The client discards bodies in the kernel (MSG_TRUNC), so that
its own copying does not count against the server.
"""

import select
import socket
import time

import machine
import rows
from servers import get

BODY_BYTES = 1024 * 1024
DELAY_MS = 200
SECONDS_MAX = 20.0
NOWHERE = bytearray(BODY_BYTES)


def once(world, server, clients, tag):
    """One cold object: milliseconds to the last byte of all, and origin requests."""
    before = world.slow_requests()
    used = machine.usage(server.pids())
    path = f"/slow/{BODY_BYTES}/{DELAY_MS}/{tag}"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    connections = {}
    try:
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", server.ports["h1"]), 10)
            connections[connection.fileno()] = connection
        elapsed, first = drain(connections, request)
    finally:
        for connection in connections.values():
            connection.close()
    return {
        "server": server.name,
        "last_byte_ms": elapsed * 1000,
        "first_byte_ms": first * 1000,
        "cpu_ms": machine.usage(server.pids()).since(used).cpu * 1000,
        "origin_requests": world.slow_requests() - before,
    }


def origin_alone(world, tag):
    """Milliseconds that one client waits for the last byte of the origin itself."""
    began = time.monotonic()
    answer = get(world.slow_port, f"/slow/{BODY_BYTES}/{DELAY_MS}/{tag}")
    elapsed = time.monotonic() - began
    if len(answer.body) != BODY_BYTES:
        raise rows.Wrong(f"the slow origin sent {len(answer.body)} bytes")
    return {
        "server": "the origin itself, one client",
        "last_byte_ms": elapsed * 1000,
        "origin_requests": 1,
    }


def drain(connections, request):
    """Sends the request on all and reads all answers; seconds to the last and the first byte."""
    poll = select.epoll()
    left = {}
    for fd, connection in connections.items():
        connection.setblocking(False)
        poll.register(fd, select.EPOLLIN)
        left[fd] = None
    began = time.monotonic()
    first = None
    for connection in connections.values():
        connection.send(request)
    while left:
        if time.monotonic() - began > SECONDS_MAX:
            raise rows.Wrong(f"{len(left)} clients had no whole answer in {SECONDS_MAX} s")
        for fd, _ in poll.poll(1.0):
            first = first or time.monotonic()
            if left[fd] is None:
                left[fd] = read_head(connections[fd])
            if left[fd]:
                left[fd] -= discard(connections[fd], left[fd])
            if left[fd] == 0:
                poll.unregister(fd)
                del left[fd]
    poll.close()
    return time.monotonic() - began, first - began


def read_head(connection):
    """Reads the head exactly; the body bytes that are still to come, or None if it is cut."""
    seen = connection.recv(4096, socket.MSG_PEEK)
    end = seen.find(b"\r\n\r\n")
    if end < 0:
        if not seen:
            raise rows.Wrong("closed before the head")
        return None
    head = connection.recv(end + 4).lower()
    if not head.startswith(b"http/1.1 200"):
        raise rows.Wrong(f"status {head[9:12]!r}")
    if b"content-length: %d\r\n" % BODY_BYTES in head:
        return BODY_BYTES
    raise rows.Wrong("no Content-Length, or a wrong one")


def discard(connection, most):
    """Throws away up to `most` body bytes inside the kernel; how many."""
    try:
        # With MSG_TRUNC a TCP socket drops the bytes and leaves the buffer untouched (tcp(7)).
        count = connection.recv_into(NOWHERE, min(most, BODY_BYTES), socket.MSG_TRUNC)
    except BlockingIOError:
        return 0
    if count == 0:
        raise rows.Wrong("closed before the end of the body")
    return count


def measure_all(world, servers, clients, rounds, tell):
    """Each server in interleaved rounds, a new object each time."""
    results, faults = [], []
    for number in range(rounds):
        results.append(origin_alone(world, f"alone{number}"))
        for server in servers:
            try:
                tag = f"c{number}-{server.ports['h1']}"
                result = once(world, server, clients, tag)
            except rows.FAULTS as fault:
                faults.append(f"{server.name}, collapse: {fault}")
                tell(f"  ! {faults[-1]}")
                continue
            results.append(result)
            tell(
                f"  collapse round {number} {server.name:12} last byte"
                f" {result['last_byte_ms']:6.0f} ms, {result['origin_requests']} origin requests,"
                f" {result['cpu_ms']:.0f} ms of CPU"
            )
    return results, faults
