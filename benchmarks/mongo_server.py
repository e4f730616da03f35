"""What the tests use as MongoDB, NeoSQLite in memory, for `benchmarks.storages`.

    python -m benchmarks.mongo_server

Prints its port.
"""

import asyncio
import sys

from nx_27017.handler import NeoSQLiteHandler  # type: ignore[import-untyped]
from nx_27017.server import handle_client  # type: ignore[import-untyped]


async def main() -> None:
    """Serve until the process is ended."""
    handler = NeoSQLiteHandler(":memory:")
    server = await asyncio.start_server(
        lambda reader, writer: handle_client(reader, writer, handler), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1])
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
