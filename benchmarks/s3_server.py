"""A server that speaks as much of S3 as `storage.s3` needs, and takes little time for it.

    python -m benchmarks.s3_server

Prints its port. It keeps objects in memory, and neither checks signatures nor knows buckets.
"""

import asyncio
import sys

_MISSING = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
_objects: dict[bytes, bytes] = {}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            request, _, rest = head.partition(b"\r\n")
            method, target, _ = request.split(b" ", 2)
            lines = (line.partition(b":") for line in rest.splitlines() if line)
            headers = {name.strip().lower(): value.strip() for name, _, value in lines}
            if headers.get(b"expect") == b"100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
            status, content = _answer(method, target.partition(b"?")[0], body)
            length = b"content-length: %d\r\n" % len(content)
            writer.write(b'HTTP/1.1 %b\r\netag: "x"\r\n%b\r\n%b' % (status, length, content))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _answer(method: bytes, key: bytes, body: bytes) -> tuple[bytes, bytes]:
    if method == b"PUT":
        _objects[key] = body
        return b"200 OK", b""
    if method == b"DELETE":
        _objects.pop(key, None)
        return b"204 No Content", b""
    if key in _objects:
        return b"200 OK", _objects[key]
    return b"404 Not Found", _MISSING


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1])
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
