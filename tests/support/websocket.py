"""A WebSocket server, and clients that reach it by way of a node.

Tells the server's port in a line, reads a line of JSON with the URLs to ask and the authority to
trust, and tells in a line of JSON what the client of each URL saw.
"""

import asyncio
import json
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

LARGE = bytes(range(256)) * 8192


async def echo(server):
    async for message in server:
        if message == "close":
            return await server.close(4001, "as asked")
        await server.send(message)


async def talk(url, trust):
    seen = {}
    secure = {"ssl": trust} if url.startswith("wss:") else {}
    async with connect(url, subprotocols=["chat"], max_size=None, proxy=None, **secure) as client:
        seen["subprotocol"] = client.subprotocol
        seen["extensions"] = client.response.headers.get("sec-websocket-extensions", "")
        await client.send("hello")
        seen["text"] = await client.recv()
        await client.send(LARGE)
        seen["large"] = await client.recv() == LARGE
        await (await client.ping())
        await client.send("close")
        try:
            await client.recv()
        except ConnectionClosed as closed:
            seen["code"], seen["reason"] = closed.rcvd.code, closed.rcvd.reason
    return seen


async def main():
    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        asked = json.loads(await asyncio.to_thread(sys.stdin.readline))
        trust = ssl.create_default_context(cafile=asked["ca_file"])
        seen = await asyncio.gather(*(talk(url, trust) for url in asked["urls"]))
        print(json.dumps(seen), flush=True)


asyncio.run(asyncio.wait_for(main(), 60))
