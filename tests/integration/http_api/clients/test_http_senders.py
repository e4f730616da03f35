"""The senders of vcon-server's world, unchanged, against the HTTP API."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.http_api.clients.calls import LIBRARIES, Send
from tests.integration.http_api.clients.senders import SENDERS, SEVERAL_LISTS, End, Sender
from tests.integration.http_api.http_scene import TOKEN, Served
from tests.integration.support.pipeline_fixtures import a_vcon

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
