"""An origin on hypercorn, in HTTP/1.1 and HTTP/2; called as asgi_origin.py [FOLDER].

FOLDER holds cert.pem and key.pem; without one it is in cleartext. The port is printed. A page tells
how it was asked for, /large is of 2,000,000 bytes, and /hints comes behind two early hints.
"""

import asyncio
import socket
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    length, more = 0, True
    while more:
        event = await receive()
        length += len(event.get("body", b""))
        more = event.get("more_body", False)
    if scope["path"] == "/hints":
        for _ in range(2):
            links = [b"</a.css>; rel=preload"]
            await send({"type": "http.response.early_hint", "links": links})
        body = b"page"
    elif scope["path"] == "/large":
        body = b"l" * 2_000_000
    else:
        host = dict(scope["headers"]).get(b"host", b"").decode()
        target = f"{scope['path']}?{scope['query_string'].decode()}".removesuffix("?")
        told = (scope["http_version"], scope["scheme"], host, target, str(length))
        body = " ".join(told).encode()
    headers = [(b"content-type", b"text/plain"), (b"cache-control", b"max-age=60")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main():
    config = Config()
    listener = socket.create_server(("127.0.0.1", 0))
    config.bind = [f"fd://{listener.fileno()}"]
    if sys.argv[1:]:
        config.certfile, config.keyfile = (f"{sys.argv[1]}/{name}.pem" for name in ("cert", "key"))
    print(listener.getsockname()[1], flush=True)
    asyncio.run(serve(app, config))


main()
