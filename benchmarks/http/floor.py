"""The floor: the least that a server on Starlette and redis-py does with a vCon.

`json.loads`, one pipeline of JSON.SET and RPUSH, and the answer: the vCon as it came (201), or
nothing for a partner (204). No token, validation, index, digest or error handling.
"""

import json
import os
from functools import cache

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@cache
def _client() -> Redis:
    """The connection, made on the event loop of the server."""
    return Redis.from_url(os.environ["REDIS_URL"])


async def _store(request: Request, name: str) -> bytes:
    body = await request.body()
    vcon_uuid = json.loads(body)["uuid"]
    async with _client().pipeline(transaction=False) as pipe:
        pipe.execute_command("JSON.SET", f"vcon:{vcon_uuid}", "$", body)
        pipe.rpush(request.query_params[name], vcon_uuid)
        await pipe.execute()
    return body


async def _post(request: Request) -> Response:
    body = await _store(request, "ingress_lists")
    return Response(body, 201, media_type="application/json")


async def _external(request: Request) -> Response:
    await _store(request, "ingress_list")
    return Response(status_code=204)


application = Starlette(
    routes=[
        Route("/vcon", _post, methods=["POST"]),
        Route("/vcon/external-ingress", _external, methods=["POST"]),
    ]
)
