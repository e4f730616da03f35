"""The webhook link against a real HTTP server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from devstack.servers.ports import free_port
from lib import vcon_egress_compat
from lib.vcon_redis import AsyncVconRedis
from links.webhook import DeliveryError, run
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.plugins.scene import TAGGED, canonical

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
HIDDEN = canary("hidden-word-7b42")
SHARED = canary("a shared secret 1b77")
CEILING_SECONDS = 60


class Receiver(StandIn):
    """A receiver of webhooks."""

    def url(self, path: str = "/hook") -> str:
        """The address, with a user and a password in it."""
        return f"http://user:{HIDDEN}@127.0.0.1:{self.port}{path}?key={HIDDEN}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on a free port."""
    with stand_in(Receiver()) as receiver:
        yield receiver


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


def options(*urls: str, **changes: Any) -> dict[str, Any]:
    """Options with pauses that need no waiting."""
    return {"webhook-urls": list(urls), "backoff": 0.001, **changes}


async def test_a_receiver_gets_the_whole_vcon_as_json(receiver: Receiver) -> None:
    """In a POST to its path, with the configured headers."""
    sent = await run(UUID, "hook", options(receiver.url("/in"), headers={"X-Key": 7}))
    assert sent == UUID
    [(path, headers, body)] = receiver.got
    assert path == f"/in?key={HIDDEN}"
    assert json.loads(body) == VCON
    assert headers["content-type"] == "application/json"
    assert headers["x-key"] == "7"
    assert headers["authorization"].startswith("Basic ")
    assert "webhook-signature" not in headers


async def test_old_receivers_get_the_old_form(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With EGRESS_FORMAT_VERSION=0.0.1; in Redis the vCon stays as it is."""
    monkeypatch.setattr(vcon_egress_compat, "_version", "0.0.1")
    await run(UUID, "hook", options(receiver.url()))
    [(_, _, body)] = receiver.got
    assert json.loads(body) == vcon_egress_compat.to_legacy(VCON, "0.0.1") != VCON
    assert await AsyncVconRedis().get_vcon_dict(UUID) == VCON


async def test_configured_headers_replace_ours(receiver: Receiver) -> None:
    """Regardless of upper and lower case."""
    headers = {"Content-Type": "application/vcon+json"}
    await run(UUID, "hook", options(receiver.url(), headers=headers))
    assert receiver.got[0][1]["content-type"] == "application/vcon+json"


@pytest.mark.parametrize(
    "answer", ["500", "503", "429", "503 Retry-After: 0", "429 Retry-After: soon", "drop"]
)
async def test_what_may_pass_is_repeated(receiver: Receiver, answer: str) -> None:
    """Failing and full receivers and broken connections get the same message again."""
    receiver.answers = [answer, answer]
    assert await run(UUID, "hook", options(receiver.url(), retries=2)) == UUID
    assert len(receiver.got) == 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert len({body for _, _, body in receiver.got}) == 1


async def test_a_receiver_that_is_not_there_yet_is_tried_again(receiver: Receiver) -> None:
    """A refused connection counts as one that may pass, until the repeats are used up."""
    with pytest.raises(DeliveryError, match=r"^127\.0\.0\.1 could not be reached: ConnectError$"):
        await run(UUID, "hook", options(f"http://127.0.0.1:{free_port()}/", retries=1))


@pytest.mark.parametrize("answer", ["400", "404", "301 Location: /else", "429 Retry-After: 3600"])
async def test_what_will_not_pass_is_not_repeated(receiver: Receiver, answer: str) -> None:
    """A refusal, a redirect, and a wait longer than anybody should."""
    receiver.answers = [answer]
    with pytest.raises(DeliveryError, match=rf"^127\.0\.0\.1 answered {answer[:3]}$"):
        await run(UUID, "hook", options(receiver.url()))
    assert len(receiver.got) == 1


async def test_a_receiver_that_keeps_failing_fails_the_link(receiver: Receiver) -> None:
    """After the first attempt and as many repeats as configured."""
    receiver.answers = ["502"] * 9
    with pytest.raises(DeliveryError, match="answered 502"):
        await run(UUID, "hook", options(receiver.url(), retries=2))
    assert len(receiver.got) == 3


async def test_a_receiver_that_hangs_is_given_up(receiver: Receiver) -> None:
    """After `timeout`, although the connection is fine."""
    receiver.answers = ["hang"]
    async with asyncio.timeout(CEILING_SECONDS):
        with pytest.raises(DeliveryError, match="could not be reached: TimeoutError"):
            await run(UUID, "hook", options(receiver.url(), retries=0, timeout=0.05))


async def test_all_receivers_get_it_even_if_one_fails(receiver: Receiver) -> None:
    """And the failure names the host only."""
    receiver.answers = ["400"]
    urls = [receiver.url(f"/{number}") for number in range(3)]
    with pytest.raises(DeliveryError):
        await run(UUID, "hook", options(*urls))
    assert sorted(path[:2] for path, _, _ in receiver.got) == ["/0", "/1", "/2"]


async def test_several_failures_are_all_told(receiver: Receiver) -> None:
    """In the order of the configuration."""
    receiver.answers = ["400", "400"]
    with pytest.raises(DeliveryError, match=r"answered 400; 127\.0\.0\.1 answered 400"):
        await run(UUID, "hook", options(receiver.url("/a"), receiver.url("/b")))


async def test_neither_errors_nor_log_lines_hold_the_url(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """It may hold a password or a key, and errors are kept with the run."""
    caplog.set_level(logging.DEBUG, "lib")
    receiver.answers = ["500", "500"]
    with pytest.raises(DeliveryError) as error:
        await run(UUID, "hook", options(receiver.url(), retries=1))
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert HIDDEN not in str(error.value)
    ours = [record for record in caplog.records if record.name.startswith("lib.")]
    assert ours  # what httpx logs by itself is silenced where logging is configured
    assert not any(HIDDEN in str(vars(record)) for record in ours)


@pytest.mark.parametrize("url", ["ftp://x.example/", "no url", "http://[", "http://a b/"])
async def test_a_url_that_is_none_fails_the_link_at_once(url: str) -> None:
    """There is no receiver."""
    with pytest.raises(DeliveryError):
        await run(UUID, "hook", options(url))


async def test_a_message_is_signed_with_the_secret(receiver: Receiver) -> None:
    """The signature fits id, time and body as they arrive."""
    await run(UUID, "hook", options(receiver.url(), secret=SHARED))
    [(_, headers, body)] = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(SHARED.encode(), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


async def test_connections_are_kept(receiver: Receiver) -> None:
    """One after the other, vCons travel over the same connection."""
    for _ in range(5):
        await run(UUID, "hook", options(receiver.url()))
    assert len(receiver.got) == 5
    assert receiver.connections == 1


async def test_without_urls_the_run_goes_on_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing to do is no failure."""
    assert await run(UUID, "hook", {"webhook-urls": None}) == UUID
    assert "no webhook-urls" in caplog.text


async def test_one_url_need_not_be_a_list(receiver: Receiver) -> None:
    """A text is taken for the only URL."""
    await run(UUID, "hook", {"webhook-urls": receiver.url()})
    assert len(receiver.got) == 1


async def test_a_vcon_that_is_not_there_ends_the_run(receiver: Receiver) -> None:
    """Nothing is sent."""
    missing = "00000000-0000-8000-8000-000000000000"
    assert await run(missing, "hook", options(receiver.url())) is None
    assert receiver.got == []
