"""Senders while a vCon is in work, a list is full, or Redis is away: nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db.database import Database
from core.settings import DatabaseSettings
from devstack.servers.valkey import Valkey
from tests.integration.http_api.clients.calls import LIBRARIES, Send, by_requests
from tests.integration.http_api.clients.senders import (
    SENDERS,
    End,
    Sender,
    Siprec,
    Spool,
    Telephony,
    Template,
)
from tests.integration.http_api.clients.test_http_fetch import fetched
from tests.integration.http_api.http_scene import TOKEN, Served, Start, serving
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

KEY = "key-of-a-partner-1"
RETRYING = (Template, Siprec)
"""Kinds of senders that try again on their own."""


class Fault:
    """A reason to try later; `begin` before the request, `end` while the client waits."""

    def __init__(self, served: Served, valkey: Valkey) -> None:
        self.served, self.valkey = served, valkey

    def begin(self, vcon: dict[str, Any]) -> None:
        """From now on the vCon is not taken."""
        raise NotImplementedError

    def end(self) -> None:
        """It is taken again."""
        raise NotImplementedError


class Busy(Fault):
    """A run waits for its next attempt on the older content of the vCon."""

    def begin(self, vcon: dict[str, Any]) -> None:
        if not self.served.client.exists(f"vcon:{vcon['uuid']}"):
            older = vcon | {"subject": "older"}
            Telephony(self.served.url, TOKEN, ["in"], by_requests, print).deliver(older)
        self.served.client.delete("in")
        self.served.client.hset("pc:attempts:in", vcon["uuid"], "1\na-run\n0")

    def end(self) -> None:
        self.served.client.delete("pc:attempts:in")


class Full(Fault):
    """The list has as many vCons as it may."""

    def begin(self, vcon: dict[str, Any]) -> None:
        self.served.client.rpush("in", *(new_uuid() for _ in range(10)))

    def end(self) -> None:
        self.served.client.delete("in")


class Away(Fault):
    """Redis was killed, and starts again with what it had."""

    away = False

    def begin(self, vcon: dict[str, Any]) -> None:
        self.valkey.kill()
        self.away = True

    def end(self) -> None:
        if self.away:
            self.valkey.restart()
        self.away = False


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A server of these tests' own, which they kill."""
    from devstack.servers.folders import temporary_folder

    with temporary_folder() as folder:
        server = Valkey.start(folder)
        yield server
        server.stop()


@pytest.fixture(params=[Busy, Full, Away], ids=lambda each: each.__name__)
async def fault(
    request: pytest.FixtureRequest,
    config: Path,
    valkey: Valkey,
    migrated: Database,
    database_settings: DatabaseSettings,
) -> AsyncIterator[Fault]:
    """The API, and a reason to try later."""
    about = database_settings
    async with serving(config, valkey.url, migrated, about, max_queue_depth=10) as served:
        served.client.flushall()
        yield request.param(served, valkey)


def sent(sender: Sender, fault: Fault, vcon: dict[str, Any]) -> list[End]:
    """What the client ends with; one that does not try again is made to by a person."""
    fault.begin(vcon)
    ended = False

    def end(_: float = 0) -> None:
        nonlocal ended
        if not ended:
            fault.end()
        ended = True

    sender.pause = end
    first = sender.deliver(vcon)
    end()
    return [first] if first is End.DELIVERED else [first, sender.deliver(vcon)]


@pytest.mark.parametrize("send", LIBRARIES, ids=lambda each: each.__name__)
async def test_no_sender_loses_a_vcon(fault: Fault, send: Send) -> None:
    """Those that try again deliver on their own; the others tell. It is queued once."""
    kinds = SENDERS if send is by_requests else RETRYING
    for kind in kinds:
        sender = kind(fault.served.url, TOKEN, ["in"], send, lambda _: None)
        vcon = a_vcon(subject="newer")
        ends = await asyncio.to_thread(sent, sender, fault, vcon)
        own = issubclass(kind, RETRYING)
        assert ends == ([End.DELIVERED] if own else [End.FAILED, End.DELIVERED]), kind
        assert fault.served.queued("in") == [vcon["uuid"]], kind
        assert fault.served.client.json().get(f"vcon:{vcon['uuid']}", ".subject") == "newer"
        fault.served.client.delete("in")


async def test_a_client_on_fetch_tries_again(fault: Fault) -> None:
    """503 and `Retry-After`, which it takes for a reason to send the same again."""
    vcon = a_vcon(subject="newer")
    await asyncio.to_thread(fault.begin, vcon)
    for client in ("meet", "proxy"):
        outcome = await fetched(client, fault.served, vcon)
        assert (outcome["end"], outcome["statuses"]) == ("failed", [503] * 4)
    await asyncio.to_thread(fault.end)
    outcome = await fetched("meet", fault.served, vcon)
    assert (outcome["end"], outcome["statuses"]) == ("delivered", [201])
    assert fault.served.queued("in") == [vcon["uuid"]]


async def test_every_refusal_says_when_to_come_again(fault: Fault) -> None:
    """A whole number of seconds, above zero."""
    vcon = a_vcon(subject="newer")
    await asyncio.to_thread(fault.begin, vcon)
    async with fault.served.http() as http:
        answer = await http.post("/vcon?ingress_list=in", json=vcon)
    await asyncio.to_thread(fault.end)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


async def test_the_spool_keeps_its_file_until_it_is_taken(fault: Fault, tmp_path: Path) -> None:
    """None is set aside, and the vCon is queued once."""
    served, pauses = fault.served, []

    def end(seconds: float) -> None:
        pauses.append(seconds)
        fault.end()

    vcon = a_vcon(subject="newer")
    spool = Spool(served.url, KEY, "in", by_requests, end, tmp_path)
    older = json.dumps(vcon | {"subject": "older"}).encode()
    assert await asyncio.to_thread(spool.post, older) == 204  # the vCon is the partner's own
    served.client.delete("in")
    spool.keep(vcon)
    await asyncio.to_thread(fault.begin, vcon)
    assert await asyncio.to_thread(spool.run) is End.DELIVERED
    assert set(pauses) == {5}  # more than one while the service connects to Redis again
    assert served.queued("in") == [vcon["uuid"]]


LIMITED = """
chains:
  main: {ingress_lists: [in]}
ingress_auth:
  in: [{key: KEY, label: forwarder, requests_per_minute: 1}]
"""


async def test_the_spool_waits_for_its_limit_of_requests(start: Start, tmp_path: Path) -> None:
    """With 503, as the setting says; it would set its files aside for good after 429."""
    (folder := tmp_path / "spool").mkdir()
    ends = []
    for status in ("429", "503"):
        text = LIMITED.replace("KEY", KEY)
        async with start(text, api_rate_limited_status=status) as served:

            def wait(_: float, client: Any = served.client) -> None:
                client.delete(*client.keys("pc:rate:*"))

            spool = Spool(served.url, KEY, "in", by_requests, wait, folder)
            for _ in range(2):
                spool.keep(a_vcon())
            ends.append(await asyncio.to_thread(spool.run))
            wait(0)
    assert ends == [End.GIVEN_UP, End.DELIVERED]
