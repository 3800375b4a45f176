"""One request over HTTP/3, and what was seen of its response, as JSON.

Called as http3_get.py CLIENT PORT METHOD TARGET [NAME]; the client is aioquic or curl_cffi (libcurl
with BoringSSL), and aioquic asks for the certificate of NAME. A POST carries 300,000 bytes.
"""

import asyncio
import json
import ssl
import sys

CONTENT = b"c" * 300_000


def tell(status, fields, body):
    text = body.decode() if len(body) < 1000 else ""
    print(json.dumps({"status": status, "fields": fields, "length": len(body), "text": text}))


async def aioquic(port, method, target, name="localhost"):
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.events import StreamReset

    class Client(QuicConnectionProtocol):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.http = H3Connection(self._quic)
            self.fields, self.body = {}, bytearray()
            self.done = asyncio.get_running_loop().create_future()

        def quic_event_received(self, event):
            if isinstance(event, StreamReset):
                self.done.set_exception(ConnectionError(hex(event.error_code)))
            for seen in self.http.handle_event(event):
                if isinstance(seen, HeadersReceived):
                    self.fields.update((name.decode(), value.decode()) for name, value in seen.headers)
                elif isinstance(seen, DataReceived):
                    self.body.extend(seen.data)
                if seen.stream_ended and not self.done.done():
                    self.done.set_result(None)

    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"])
    configuration.verify_mode = ssl.CERT_NONE
    configuration.server_name = name
    async with connect("127.0.0.1", port, configuration=configuration,
                       create_protocol=Client) as client:
        stream = client._quic.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", "localhost"),
                (":path", target)]
        head = [(name.encode(), value.encode()) for name, value in head]
        client.http.send_headers(stream, head, end_stream=method != "POST")
        if method == "POST":
            client.http.send_data(stream, CONTENT, end_stream=True)
        client.transmit()
        await asyncio.wait_for(client.done, 60)
        tell(int(client.fields.pop(":status")), client.fields, bytes(client.body))


def curl_cffi(port, method, target):
    from curl_cffi import CurlHttpVersion, requests

    answer = requests.request(method, f"https://localhost:{port}{target}", verify=False,
                              http_version=CurlHttpVersion.V3ONLY, timeout=60,
                              data=CONTENT if method == "POST" else None)
    tell(answer.status_code, dict(answer.headers), answer.content)


def main():
    client, port, method, target, *name = sys.argv[1:]
    try:
        if client == "aioquic":
            asyncio.run(aioquic(int(port), method, target, *name))
        else:
            curl_cffi(port, method, target)
    except Exception as broken:
        print(json.dumps({"broken": repr(broken)}))


main()
