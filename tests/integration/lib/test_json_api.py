"""Requests to vendors' HTTP APIs, and their tokens, against a local server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from lib.web.client_credentials import Grant, call_with_token
from lib.web.http_client import close
from lib.web.http_retry import HttpRetry, VendorError
from lib.web.json_api import JsonAnswer, call_json
from tests.canaries import canary
from tests.integration.support.http_stand_in import Refused, Request, StandIn, stand_in

RETRY = HttpRetry(timeout=5, retries=2, backoff=0.001)
SECRET = SecretStr(canary("secret-of-a-client-of-json-api-ec67"))


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server that answers with an empty 200."""
    with stand_in(StandIn()) as found:
        yield found


@pytest.fixture(autouse=True)
async def _clients() -> AsyncIterator[None]:
    yield
    await close()


@pytest.mark.parametrize(
    "answer", [b"[" * 100_000, b'{"text":' * 2000, b"9" * 5000 + b"x", b'{"a": ', b"<html>"]
)
async def test_an_answer_that_cannot_be_parsed_is_the_vendors_error(
    server: StandIn, answer: bytes
) -> None:
    """As one that was cut off, also if it is nested too deep."""
    server.replies["/"] = answer
    with pytest.raises(VendorError, match="the vendor could not be reached: JSONDecodeError"):
        await call_json("GET", f"{server.url}/", server="the vendor", retry=RETRY)
    assert len(server.got) == 3


async def test_the_error_of_a_large_answer_names_the_server(server: StandIn) -> None:
    """It is not repeated: the next answer would be as large."""
    server.replies["/"], url = {"text": "x" * 2000}, f"{server.url}/"
    with pytest.raises(VendorError, match="the vendor answered with more than 1000 bytes"):
        await call_json("GET", url, server="the vendor", retry=RETRY, most_bytes=1000)
    assert len(server.got) == 1


async def test_a_key_that_no_header_may_have_is_an_error_without_it(server: StandIn) -> None:
    """The key of the library's error is in its `repr`."""
    headers = {"authorization": f"Bearer {SECRET.get_secret_value()}\u00e9"}
    with pytest.raises(VendorError, match="characters that no HTTP header may have") as caught:
        await call_json("GET", f"{server.url}/", server="the vendor", retry=RETRY, headers=headers)
    assert caught.value.__suppress_context__
    assert server.got == []


async def test_a_refusal_with_a_header_that_is_not_in_ascii(server: StandIn) -> None:
    """It is repeated and told as any other one."""
    server.checks["/"] = _refuse_in_german
    with pytest.raises(VendorError, match="the vendor answered 503: closed") as caught:
        await call_json("GET", f"{server.url}/", server="the vendor", retry=RETRY)
    assert caught.value.peer_failed
    assert len(server.got) == 3


async def test_a_token_that_is_refused_without_json_is_replaced(server: StandIn) -> None:
    """Gateways answer 401 with a text of their own."""
    tokens = iter(["first", "second"])
    server.replies["/token"] = lambda _: json.dumps({"access_token": next(tokens)}).encode()
    server.checks["/api"] = _refuse_the_first
    grant = Grant(f"{server.url}/token", "client", SECRET, "the issuer", "refused")

    async def send(token: str) -> JsonAnswer:
        return await call_json(
            "GET",
            f"{server.url}/api",
            server="the vendor",
            retry=RETRY,
            headers={"authorization": f"Bearer {token}"},
            accept=(401,),
        )

    assert (await call_with_token(grant, RETRY, send)).status == 200
    assert [path for path, _, _ in server.got] == ["/token", "/api", "/token", "/api"]


def _refuse_the_first(request: Request) -> None:
    if request.headers["authorization"] == "Bearer first":
        refused = Refused(401)
        refused.body = b"Unauthorized"
        raise refused


def _refuse_in_german(_: Request) -> None:
    raise Refused(503, {"message": "closed"}, x_reason="gr\u00f6\u00dfer")
