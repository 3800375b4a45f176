"""An origin that takes its time and counts: `slow_origin.py PORT`.

`/slow/BYTES/DELAY_MS/NAME` answers with BYTES bytes, fresh for a day, after the delay;
`/requests` answers with how many of those were asked for.
"""

import asyncio
import sys

asked = 0


async def serve(reader, writer):
    """One connection, kept alive until the client closes it."""
    global asked
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if path == "/requests":
                body = str(asked).encode()
            else:
                asked += 1
                _, _, size, delay, _ = path.split("/", 4)
                await asyncio.sleep(int(delay) / 1000)
                body = b"x" * int(size)
            fields = f"Content-Length: {len(body)}\r\nCache-Control: public, max-age=86400\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + fields.encode() + b"\r\n" + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    """Listens on the loopback port given and never returns."""
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    await server.serve_forever()


asyncio.run(main())
