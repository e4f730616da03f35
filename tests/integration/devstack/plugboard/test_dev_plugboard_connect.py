"""Who is let in by the development Plugboard, and what the others get to see."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from tests.integration.support.plugboard_scene import (
    handshake,
    plugboard,
    raw_connection,
    raw_exchange,
)

ACTIONS = '{"Foo":{"a":{"type":"string","default":1}},"Bar":{}}'


async def refused(url: str, **options: Any) -> Response:
    """The HTTP answer to a refused handshake."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(url, **options)
    return caught.value.response


async def test_success_is_101_without_extension_or_subprotocol() -> None:
    """What a client offers beside the bare protocol is ignored, and it gets in."""
    async with plugboard() as scene:
        async with connect(scene.url(), compression="deflate", subprotocols=["phoenix"]) as socket:
            headers = socket.response.headers
            assert socket.subprotocol is None
            assert socket.protocol.extensions == []
        assert "sec-websocket-extensions" not in headers
        assert "sec-websocket-protocol" not in headers
        assert "cache-control" in headers


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_both_paths_and_padded_tokens_are_fine(vsn: str) -> None:
    """`/websocket/` works as well, and so does a token with its padding."""
    async with plugboard() as scene:
        url = scene.url(vsn=vsn).replace("/websocket?", "/websocket/?")
        async with connect(url.replace(scene.token.value, scene.token.value + "%3D")):
            await scene.board.wait_for(lambda: len(scene.board.consumers) == 1)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "token={token}",
        "actions=%7B%7D",
        "token=&actions=%7B%7D",
        "token=wrong&actions=%7B%7D",
        "token=not+base64&actions=%7B%7D",
        "token={account}&actions=%7B%7D",
        "token={deleted}&actions=%7B%7D",
        "token={expired}&actions=%7B%7D",
        "token={token}&actions=%7B%7D&vsn=1.9.9",
        "token={token}&actions=%7B%7D&vsn=3.0.0",
        "token={token}&actions=%7B%7D&vsn=2",
        "token={token}&actions=%7B%7D&vsn=abc",
    ],
)
async def test_every_refusal_is_an_empty_403(query: str) -> None:
    """The reasons cannot be told apart."""
    async with plugboard() as scene:
        deleted, expired = (scene.board.create_token(scene.service) for _ in range(2))
        scene.board.delete_token(deleted)
        scene.board.expire_token(expired)
        filled = query.format(
            token=scene.token.value,
            account=scene.account.value,
            deleted=deleted.value,
            expired=expired.value,
        )
        headers = {"authorization": f"Bearer {scene.token.value}"}
        response = await refused(
            f"{scene.board.websocket_url}?{filled}", additional_headers=headers
        )
        assert response.status_code == 403
        assert response.headers["content-length"] == "0"
        assert response.body == b""


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("https://localhost:4000", True),
        ("http://127.0.0.1:4000", False),
        ("http://evil.example", False),
        ("null", False),
    ],
)
async def test_a_browser_must_come_from_the_boards_own_host(origin: str, allowed: bool) -> None:
    """Only http(s)://localhost with any port passes; anything else is 403."""
    async with plugboard() as scene:
        if allowed:
            async with connect(scene.url(), origin=origin):
                return
        assert (await refused(scene.url(), origin=origin)).status_code == 403


async def test_other_paths_and_plain_requests() -> None:
    """404 elsewhere, 200 for the front page, 400 for a request that is no handshake."""
    async with plugboard() as scene:
        url = scene.board.http_url
        assert (await refused(url.replace("http", "ws") + "socket/websocket")).status_code == 404
        assert (await scene.http.get(url)).status_code == 200
        plain = await scene.http.get(scene.url().replace("ws", "http", 1))
        assert plain.status_code == 400
        assert plain.text.startswith("'connection' header must contain 'upgrade'")
        posted = await scene.http.post(scene.url().replace("ws", "http", 1))
        assert (posted.status_code, posted.content) == (400, b"")


@pytest.mark.parametrize(("variant", "limit"), [("main", 9_998), ("bugfixes", 16_382)])
async def test_the_request_line_limit_is_exact(variant: str, limit: int) -> None:
    """The longest line gets through; one byte more is a bare HTTP/1.0 414 and the end."""
    async with plugboard(variant=variant, close_timeout=0.05) as scene:
        target = scene.target(filler="")
        target += "x" * (limit - len(f"GET {target} HTTP/1.1"))
        async with raw_connection(scene.board) as (reader, writer):
            writer.write(handshake(target))
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
        refusal = await raw_exchange(scene.board, handshake(target + "x"))
        assert refusal == b"HTTP/1.0 414 Request-URI Too Long\r\nconnection: close\r\n\r\n"


async def test_the_library_cannot_read_the_414() -> None:
    """A client on `websockets` sees no HTTP response at all."""
    async with plugboard(close_timeout=0.05) as scene:
        with pytest.raises(InvalidMessage):
            await connect(scene.url(actions="x" * 10_000))


async def test_a_long_header_line_is_431() -> None:
    """One header line of about 10,000 bytes is refused the same way."""
    async with plugboard(close_timeout=0.05) as scene:
        head = f"GET / HTTP/1.1\r\ncookie: {'x' * 10_000}\r\n\r\n"
        refusal = await raw_exchange(scene.board, head.encode())
        assert refusal.startswith(b"HTTP/1.0 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize(
    ("actions", "allowed"),
    [
        (ACTIONS, True),
        (json.dumps(json.loads(ACTIONS), indent=2, sort_keys=True), True),
        (ACTIONS.replace("1", "1.0"), True),
        ("{}", False),
        (ACTIONS.replace("string", "text"), False),
        (ACTIONS[:-1] + ',"More":{}}', False),
    ],
)
async def test_actions_must_equal_those_of_the_joined(actions: str, allowed: bool) -> None:
    """Decoded values are compared, while a consumer is joined."""
    async with plugboard() as scene:
        await scene.join(actions=ACTIONS)
        if allowed:
            second = await scene.connect(actions=actions)
            assert (await second.join())["num_consumers"] == 2
        else:
            assert (await refused(scene.url(actions=actions))).status_code == 403


async def test_a_connected_consumer_registers_nothing() -> None:
    """A socket connected before the first join may have other actions, and joins with them."""
    async with plugboard() as scene:
        first = await scene.connect(actions='{"A":{}}')
        second = await scene.connect(actions='{"B":{}}')
        assert (await first.join())["num_consumers"] == 1
        assert (await second.join())["num_consumers"] == 2
        await scene.connect(actions='{"A":{}}')
        assert (await refused(scene.url(actions='{"B":{}}'))).status_code == 403


async def test_actions_are_forgotten_with_the_last_consumer() -> None:
    """Without joined consumers, other actions are accepted."""
    async with plugboard() as scene:
        first = await scene.join(actions='{"A":{}}')
        await first.leave()
        await scene.join(actions='{"B":{}}')


@pytest.mark.parametrize("actions", ["", "{", "[]", "7", "null"])
async def test_the_first_ones_broken_actions_crash_its_join(actions: str) -> None:
    """A first consumer is let in with anything; its join is answered with an error."""
    async with plugboard() as scene:
        client = await scene.connect(actions=actions)
        reply = await client.ask("phx_join", ref="1")
        assert reply["payload"] == {"status": "error", "response": {"reason": "join crashed"}}
        await client.alive()
        assert scene.board.joined(scene.service) == []


async def test_a_second_ones_broken_actions_are_500() -> None:
    """What is not JSON cannot be compared."""
    async with plugboard() as scene:
        await scene.join()
        response = await refused(scene.url(actions="{"))
        assert (response.status_code, response.body) == (500, b"Internal Server Error")
        assert (await refused(scene.url(actions="[]"))).status_code == 403
