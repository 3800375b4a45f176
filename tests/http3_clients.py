"""What aioquic and libcurl see of a node: called by the tests of `net::h3` as CLIENT PORT."""

import asyncio
import ssl
import sys

LARGE = 3_000_000


async def aioquic(port):
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.events import ConnectionTerminated, StreamReset

    class Client(QuicConnectionProtocol):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.http = H3Connection(self._quic)
            self.streams = {}

        def quic_event_received(self, event):
            if isinstance(event, StreamReset):
                self.streams[event.stream_id][2].set_exception(ConnectionError(event.error_code))
            if isinstance(event, ConnectionTerminated):
                for _, _, done in self.streams.values():
                    if not done.done():
                        done.set_exception(ConnectionError(event.error_code, event.reason_phrase))
            for http in self.http.handle_event(event):
                fields, body, done = self.streams[http.stream_id]
                if isinstance(http, HeadersReceived):
                    fields.extend(http.headers)
                elif isinstance(http, DataReceived):
                    body.extend(http.data)
                if http.stream_ended and not done.done():
                    done.set_result((dict(fields), bytes(body)))

        async def fetch(self, method, path, body=b""):
            stream = self._quic.get_next_available_stream_id()
            done = asyncio.get_running_loop().create_future()
            self.streams[stream] = ([], bytearray(), done)
            head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"localhost"),
                    (b":path", path), (b"user-agent", b"aioquic")]
            self.http.send_headers(stream, head, end_stream=not body)
            if body:
                self.http.send_data(stream, body, end_stream=True)
            self.transmit()
            return await asyncio.wait_for(done, 20)

    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"])
    configuration.verify_mode = ssl.CERT_NONE
    configuration.server_name = "localhost"
    async with connect("127.0.0.1", port, configuration=configuration,
                       create_protocol=Client) as client:
        paths = [b"/bytes/%d" % (1000 + n) for n in range(100)]
        answers = await asyncio.gather(*(client.fetch(b"GET", path) for path in paths))
        assert [len(body) for _, body in answers] == [1000 + n for n in range(100)]
        fields, body = await client.fetch(b"GET", b"/bytes/%d" % LARGE)
        assert fields[b":status"] == b"200" and len(body) == LARGE
        # With a content-length, which RFC 9110 section 8.6 allows, aioquic closes the connection:
        # "content-length does not match data size". So that is asked of curl alone.
        fields, body = await client.fetch(b"HEAD", b"/status/200")
        assert fields[b":status"] == b"200" and body == b""
        content = b"c" * 300_000
        fields, body = await client.fetch(b"POST", b"/echo", content)
        assert body == content and fields[b"x-sum"] == b"300000"
        try:
            await client.fetch(b"GET", b"/broken")
            raise AssertionError("a truncated body seemed whole")
        except ConnectionError as error:
            assert error.args[0] == 0x102, error


async def curl(port):
    from curl_cffi import CurlHttpVersion, requests

    def fetch(method, path, **more):
        return session.request(method, f"https://localhost:{port}{path}", verify=False,
                               http_version=CurlHttpVersion.V3ONLY, timeout=20, **more)

    def all_of_them():
        for size in (0, 1000, LARGE):
            answer = fetch("GET", f"/bytes/{size}")
            assert answer.status_code == 200 and len(answer.content) == size
        assert fetch("HEAD", "/bytes/77").headers["content-length"] == "77"
        assert fetch("POST", "/echo", data=b"c" * 300_000).content == b"c" * 300_000
        assert fetch("GET", "/nowhere").status_code == 404
        try:
            fetch("GET", "/broken")
            raise AssertionError("a truncated body seemed whole")
        except requests.exceptions.RequestException:
            pass

    session = requests.Session()
    all_of_them()


asyncio.run({"aioquic": aioquic, "curl": curl}[sys.argv[1]](int(sys.argv[2])))
print("passed")
