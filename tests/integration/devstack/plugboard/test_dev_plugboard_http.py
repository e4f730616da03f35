"""The development Plugboard's HTTP entrance as a caller meets it."""

import json

import httpx
import pytest

from tests.integration.support.plugboard_scene import (
    handshake,
    plugboard,
    raw_connection,
    raw_exchange,
)

BOTH = ["main", "bugfixes"]
ANSWER = {"status_code": 404, "status": "error", "message": "none", "fields": {"a": 1}}


@pytest.mark.parametrize(
    ("variant", "status", "body"),
    [
        ("main", 400, {"message": "none", "status": "error"}),
        ("bugfixes", 404, {"message": "none", "fields": {"a": 1}}),
    ],
)
async def test_an_answer_is_relayed_as_the_variant_does(
    variant: str, status: int, body: object
) -> None:
    """The same answer comes out of the two published Plugboards differently."""
    async with plugboard(variant=variant) as scene:
        client = await scene.join()
        call = scene.calling()
        await client.answer(await client.hear("request"), ANSWER)
        response = await call
        assert (response.status_code, response.json()) == (status, body)
        assert response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("answer", [{}, [], "text", 7, None])
@pytest.mark.parametrize("variant", BOTH)
async def test_a_shapeless_answer_is_502(variant: str, answer: object) -> None:
    """What is no answer in the variant's form is refused with the same words by both."""
    async with plugboard(variant=variant) as scene:
        client = await scene.join()
        call = scene.calling()
        await client.say(
            "response", answer or {}, ref=(await client.hear("request"))["payload"]["response_ref"]
        )
        response = await call
        assert response.status_code == 502
        assert response.json() == {
            "message": "Invalid response format from service process",
            "status": "error",
        }


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    """On bugfixes 204 and 304 go out empty, and the connection goes on."""
    async with plugboard(variant="bugfixes") as scene:
        client = await scene.join()
        for _ in range(2):
            call = scene.calling()
            await client.answer(await client.hear("request"), ANSWER | {"status_code": status})
            response = await call
            assert (response.status_code, response.content) == (status, b"")
            assert "content-length" not in response.headers


@pytest.mark.parametrize("status", [100, 101])
async def test_an_informational_status_breaks_the_caller(status: int) -> None:
    """On bugfixes 100 and 101 come out as something that is no HTTP answer."""
    async with plugboard(variant="bugfixes", close_timeout=0.05) as scene:
        client = await scene.join()
        call = scene.calling()
        await client.answer(await client.hear("request"), ANSWER | {"status_code": status})
        with pytest.raises(httpx.ProtocolError):
            await call


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        (None, None),
        ([1, None], 7),
        ("text", "Nobody"),
        ({"deep": {"x": 1}}, ""),
        ({"n": 10**400}, "integers longer than a double holds"),
    ],
)
async def test_anything_is_forwarded(fields: object, action: object) -> None:
    """Neither action nor fields are validated, and the action need not be registered."""
    async with plugboard() as scene:
        client = await scene.join()
        call = scene.calling(action=action, fields=fields)
        request = await client.hear("request")
        assert request["payload"]["action"] == action
        assert request["payload"]["fields"] == fields
        await client.answer(request, {"status": "success", "message": fields})
        assert (await call).json()["message"] == fields


async def test_an_action_that_is_nested_deeply_is_forwarded() -> None:
    """Deeper than Python's own reader goes."""
    deep = "[" * 3000 + "]" * 3000
    async with plugboard() as scene:
        client = await scene.join()
        body = f'{{"service_id":{scene.service.id},"action":{deep},"fields":{{}}}}'
        call = scene.calling(content=body)
        assert f'"action":{deep}' in str(await client.socket.recv())
        call.cancel()


@pytest.mark.parametrize(
    ("variant", "status", "body"),
    [
        ("main", 500, {"errors": {"detail": "Internal Server Error"}}),
        ("bugfixes", 401, {"message": "API token is invalid", "status": "error"}),
    ],
)
async def test_a_service_token_is_no_account_token(variant: str, status: int, body: object) -> None:
    """The two variants refuse a wrong bearer differently."""
    async with plugboard(variant=variant) as scene:
        response = await scene.http.post(
            scene.board.http_url, headers={"authorization": f"Bearer {scene.token.value}"}, json={}
        )
        assert (response.status_code, response.json()) == (status, body)


@pytest.mark.parametrize("variant", BOTH)
async def test_refusals_are_the_measured_bodies(variant: str) -> None:
    """No consumers, missing parameters, malformed JSON and a forbidden service."""
    async with plugboard(variant=variant) as scene:
        none = await scene.post()
        assert (none.status_code, none.json()["message"]) == (
            422,
            "No service consumers are available to handle the request",
        )
        missing = await scene.post(json={"action": "Foo"})
        assert (missing.status_code, missing.json()) == (
            400,
            {"message": "service_id, action and fields parameters are required", "status": "error"},
        )
        malformed = await scene.post(content=b"{")
        assert malformed.status_code == 400
        scene.account = scene.board.create_account_token(allowed="^elsewhere$")
        forbidden = await scene.post()
        assert (forbidden.status_code, forbidden.json()["message"]) == (
            403,
            "Insufficient permissions for this service",
        )


async def test_the_body_limit_is_exact() -> None:
    """A body of the limit is delivered, one byte more is 413, twice as much cuts the line."""
    async with plugboard(body_limit=1_000) as scene:
        client = await scene.join()
        empty = json.dumps({"service_id": 1, "action": "A", "fields": ""}).encode()
        full = empty.replace(b'""', b'"%b"' % (b"x" * (1_000 - len(empty))))
        call = scene.calling(content=full)
        await client.answer(await client.hear("request"), {"status": "success", "message": 1})
        assert (await call).status_code == 200
        large = await scene.post(content=full + b" ")
        assert (large.status_code, large.text) == (413, "Request Entity Too Large")
        with pytest.raises(httpx.TransportError):
            await scene.post(content=full + b" " * 1_000_000)


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """A second request on the line waits for the first one's answer."""
    async with plugboard() as scene, raw_connection(scene.board) as (reader, writer):
        client = await scene.join()
        body = b'{"service_id":1,"action":"A","fields":%d}'
        head = (
            f"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {scene.account.value}\r\n"
            f"content-length: {len(body) - 1}\r\n\r\n"
        ).encode()
        writer.write(head + body % 1 + head + body % 2)
        for number in (1, 2):
            request = await client.hear("request")
            assert request["payload"]["fields"] == number
            await client.answer(request, {"status": "success", "message": number})
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert b'"message":%d' % number in await reader.readuntil(b"}")


@pytest.mark.parametrize("data", [b"GARBAGE\r\n\r\n", b"\x16\x03\x01\r\n\r\n"])
async def test_what_is_not_http_is_400(data: bytes) -> None:
    """The board answers once and hangs up; the next connection is fine."""
    async with plugboard(close_timeout=0.05) as scene:
        assert (await raw_exchange(scene.board, data)).startswith(b"HTTP/1.1 400")
        async with raw_connection(scene.board) as (reader, writer):
            for byte in handshake(scene.target()):
                writer.write(bytes([byte]))
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("application/json", "application/json"), ("text/html", "text/html"), ("*/*", "text/html")],
)
async def test_an_unknown_path_is_404_in_the_form_asked_for(accept: str, kind: str) -> None:
    """JSON for those that accept JSON first, else a page."""
    async with plugboard() as scene:
        answer = await scene.http.get(f"{scene.board.http_url}none", headers={"accept": accept})
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith(kind)


async def test_a_large_upload_may_ask_first() -> None:
    """A client that expects 100-continue gets it before it sends its body."""
    async with plugboard() as scene, raw_connection(scene.board) as (reader, writer):
        writer.write(
            b"POST / HTTP/1.1\r\nhost: localhost\r\n"
            b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        await reader.readline()
        writer.write(b"{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 500")
