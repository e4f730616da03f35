"""The senders of vcon-server's world, unchanged, against the HTTP API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.http_api.clients import senders
from tests.integration.http_api.clients.calls import LIBRARIES, Send
from tests.integration.http_api.clients.senders import (
    SECRET,
    SENDERS,
    SEVERAL_LISTS,
    End,
    Sender,
    Siprec,
    SiprecPartner,
    Spool,
)
from tests.integration.http_api.http_scene import CONFIG, TOKEN, Served, Start
from tests.integration.support.pipeline_fixtures import a_vcon

PARTNER = "key-of-a-partner-1"
pytestmark = pytest.mark.parametrize("send", LIBRARIES, ids=lambda each: each.__name__)


def never(seconds: float) -> None:
    """No client has to wait."""
    pytest.fail(f"waits {seconds} s to try again")


async def delivered(kind: type[Sender], served: Served, send: Send, *lists: str) -> str:
    """The uuid of a vCon that this client has delivered twice, as after a lost answer."""
    sender = kind(served.url, TOKEN, lists, send, never)
    vcon = a_vcon(subject="Grüße")
    for _ in range(2):
        assert await asyncio.to_thread(sender.deliver, vcon) is End.DELIVERED, kind
    return str(vcon["uuid"])


def spool_of(
    served: Served, send: Send, folder: Path, key: str = PARTNER, name: str = "in"
) -> Spool:
    """The forwarder of a partner."""
    (files := folder / "spool").mkdir()
    return Spool(served.url, key, name, send, never, files)


async def test_each_sender_delivers(served: Served, send: Send) -> None:
    """The first request is a success by the client's own measure, and a repeat of it is no work."""
    uuids = [await delivered(kind, served, send, "in") for kind in SENDERS]
    assert served.queued("in") == uuids


async def test_several_lists_are_several(served: Served, send: Send) -> None:
    """The vCon is in each list once, and in no list that is named with the comma."""
    uuids = [await delivered(kind, served, send, "in", "second") for kind in SEVERAL_LISTS]
    assert served.queued("in") == served.queued("second") == uuids
    assert served.queued("in,second") == []


async def test_a_wrong_token_is_told(served: Served, send: Send) -> None:
    """No sender takes the refusal for a success, and nothing is stored."""
    for kind in SENDERS:
        sender = kind(served.url, "another", ["in"], send, lambda _: None)
        end = await asyncio.to_thread(sender.deliver, a_vcon())
        assert end in (End.GIVEN_UP, End.FAILED), kind
    assert served.client.keys("vcon:*") == []


async def test_the_test_of_an_address_is_healthy(served: Served, send: Send) -> None:
    """`{"test": true}` is answered below 400 with the token, and stores nothing."""
    for token, healthy in ((TOKEN, True), ("another", False)):
        sender = Siprec(served.url, token, ["in"], send, never)
        assert await asyncio.to_thread(sender.ping) is healthy
    assert served.queued("in") == []
    assert served.client.keys("vcon:*") == []


async def test_a_signed_sender_is_a_partner(
    start: Start, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signature is verified where the key has the secret; one of another secret is final."""
    key = f"{{key: {PARTNER}, signing_secret: {SECRET.decode()}}}"
    async with start(CONFIG.replace(f"in: {PARTNER}", f"in: {key}")) as served:
        sender = SiprecPartner(served.url, PARTNER, ["in"], send, never)
        assert await asyncio.to_thread(sender.ping)
        assert await asyncio.to_thread(sender.deliver, a_vcon()) is End.DELIVERED
        monkeypatch.setattr(senders, "SECRET", b"another")
        assert not await asyncio.to_thread(sender.ping)
        assert await asyncio.to_thread(sender.deliver, a_vcon()) is End.GIVEN_UP
        assert len(served.queued("in")) == 1


async def test_the_spool_is_emptied(served: Served, send: Send, tmp_path: Path) -> None:
    """Every file is deleted, those of a vCon that is known already too."""
    spool = spool_of(served, send, tmp_path)
    for vcon in (a_vcon(), a_vcon()):
        for _ in range(2):
            spool.keep(vcon)
            assert await asyncio.to_thread(spool.run) is End.DELIVERED
    assert list(spool.folder.iterdir()) == []
    assert len(served.queued("in")) == 2


@pytest.mark.parametrize(("key", "name"), [("another", "in"), (PARTNER, "nope")])
async def test_the_spool_stops_for_a_wrong_key_or_list(
    served: Served, send: Send, tmp_path: Path, key: str, name: str
) -> None:
    """And keeps its files: what a person has to mend costs no vCon."""
    spool = spool_of(served, send, tmp_path, key, name)
    spool.keep(a_vcon())
    assert await asyncio.to_thread(spool.run) is End.STOPPED
    assert [path.suffix for path in spool.folder.iterdir()] == [".json"]


async def test_the_spool_sets_aside_what_is_not_valid(
    served: Served, send: Send, tmp_path: Path
) -> None:
    """Only that file; those after it are sent."""
    spool = spool_of(served, send, tmp_path)
    spool.keep(a_vcon("00000000-0000-4000-8000-000000000000", dialog=7))
    spool.keep(a_vcon())
    assert await asyncio.to_thread(spool.run) is End.GIVEN_UP
    assert [path.suffix for path in spool.folder.iterdir()] == [".rejected"]
    assert len(served.queued("in")) == 1
