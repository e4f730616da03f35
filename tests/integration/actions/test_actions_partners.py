"""The administrative actions about partners, from a request to its answer, on real Postgres."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from core.action_registry import ActionRegistry
from core.action_response import ActionResponse
from core.db.database import Database
from core.db.usage_and_audit import PartnerRecords, Used
from core.errors import ForbiddenError, UnavailableError
from core.request_context import current_request
from core.rpc.dispatcher import Dispatcher
from core.settings import DatabaseSettings
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.ingest.key_cache import hashed
from pipeline.ingest.partners import Partners
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client.client import RedisConnection
from schemas.deletion import Deletion
from schemas.ingress_key import IngressKey
from tests.integration.support.pipeline_fixtures import postgres_calls

ACTIONS = ActionRegistry.discover("actions")
LISTS = ("customer_data", "support_calls")

VCON = "0194fdc2-fa2f-7cc0-81d3-ff120745b33c"


class Nothing:
    """Operations that have nothing to do, and say what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def delete(self, *asked: Any) -> Deletion:
        self.asked.append(asked)
        return Deletion({})

    async def replay(self, *asked: Any, **more: Any) -> int:
        self.asked.append(asked)
        return 0


class Office:
    """An administrator's way to partners' keys."""

    def __init__(self, database: Database, redis: RedisConnection) -> None:
        self.records = PartnerRecords(database)
        chains = {"main": Chain("main", ingress_lists=LISTS)}
        configuration = Configuration(PipelineConfig(chains=chains), Plugins())
        self.partners = Partners(configuration, redis, self.records, postgres_calls())
        self.operations = Nothing()
        self._dispatcher = Dispatcher(ACTIONS, run_blocking=asyncio.to_thread)

    async def ask(self, action: str, **fields: Any) -> ActionResponse:
        """The answer to a request with the ref `ref-1` to service 12."""
        current_request.set(("ref-1", action))
        pipeline = SimpleNamespace(partner_admin=self.partners.admin, operations=self.operations)
        client = SimpleNamespace(pipeline=pipeline, service=SimpleNamespace(id=12))
        return await self._dispatcher.answer(action, fields, client, None)

    async def told(self, action: str, **fields: Any) -> Any:
        """The fields of an answer that says yes."""
        answer = await self.ask(action, **fields)
        assert answer.status_code < 300, answer.message
        return answer.fields

    async def made(self, **fields: Any) -> Any:
        """A new key and its secret."""
        return await self.told(
            "CreateIngressKey", ingress_list="customer_data", label="ACME", **fields
        )

    async def opens(self, secret: str, name: str = "customer_data") -> bool:
        """Whether a partner is let in."""
        try:
            await self.partners.keys.check(secret, [name])
        except ForbiddenError:
            return False
        return True

    async def audited(self) -> list[tuple[str, str]]:
        """Actions and targets of all audit events, the oldest first."""
        events = (await self.told("ListAuditEvents"))["events"]
        assert {(each["actor"], each["ref"]) for each in events} == {("service:12", "ref-1")}
        return [(each["action"], each["target"]) for each in reversed(events)]


@pytest.fixture
async def office(database_settings: DatabaseSettings) -> AsyncIterator[Office]:
    """An office without any key; its Redis is never asked."""
    database = Database()
    database.initialize(database_settings)
    opened = Office(database, RedisConnection("redis://127.0.0.1:1"))
    await opened.partners.take_over()
    yield opened
    database.close()


async def test_a_key_is_made_and_opens_its_list(office: Office) -> None:
    """The secret is `vk_` and 43 characters, is told once, and only its hash is kept."""
    made = await office.made(expires_in_days=1, requests_per_minute=600, max_vcon_bytes=1000)
    assert re.fullmatch(r"vk_[\w-]{43}", made["secret"])
    assert await office.opens(made["secret"])
    assert not await office.opens(made["secret"], "support_calls")
    [key] = (await office.told("ListIngressKeys"))["keys"]
    assert key == made["key"]
    assert (key["requests_per_minute"], key["max_vcon_bytes"]) == (600, 1000)
    kept = office.records.keys.find(hashed(made["secret"]))
    assert kept is not None
    assert str(kept.id) == key["id"]
    assert made["secret"] not in kept.model_dump_json()


async def test_a_secret_stays_out_of_redis(office: Office) -> None:
    """Answers of a leaving replica go to its peers over Redis; those with a secret do not."""
    fields = {"ingress_list": "customer_data", "label": "ACME"}
    answer = await office.ask("CreateIngressKey", **fields)
    assert answer.has_secret
    rotated = await office.ask("RotateIngressKey", key_id=answer.fields["key"]["id"])
    assert rotated.has_secret
    assert not (await office.ask("ListIngressKeys")).has_secret


async def test_keys_are_listed_by_list(office: Office) -> None:
    """All of them, or those of one list."""
    await office.made()
    other = await office.told("CreateIngressKey", ingress_list="support_calls", label="x")
    assert len((await office.told("ListIngressKeys"))["keys"]) == 2
    [only] = (await office.told("ListIngressKeys", ingress_list="support_calls"))["keys"]
    assert only == other["key"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ingress_list": "DLQ:customer_data"}, "Unknown ingress list: DLQ:customer_data; known: "),
        ({"label": ""}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 1e9}, "expires_in_days"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"max_vcon_bytes": 10**12}, "max_vcon_bytes"),
        ({"label": "a\0b"}, "label"),
    ],
)
async def test_what_cannot_be_a_key_is_told(
    office: Office, fields: dict[str, Any], words: str
) -> None:
    """A list that no chain reads, a label or a limit out of range."""
    wanted = {"ingress_list": "customer_data", "label": "ACME"} | fields
    answer = await office.ask("CreateIngressKey", **wanted)
    assert answer.status_code in (400, 404)
    assert words in answer.message
    assert (await office.told("ListIngressKeys"))["keys"] == []


async def test_a_rotated_key_works_on_for_the_grace(office: Office) -> None:
    """New secret, same owner; without a grace the old one ends at once."""
    old = await office.made()
    new = await office.told("RotateIngressKey", key_id=old["key"]["id"], grace_hours=1)
    assert new["key"]["lineage"] == old["key"]["lineage"]
    assert new["secret"] != old["secret"]
    assert [await office.opens(each["secret"]) for each in (old, new)] == [True, True]
    newest = await office.told("RotateIngressKey", key_id=new["key"]["id"], grace_hours=0)
    assert [await office.opens(each["secret"]) for each in (new, newest)] == [False, True]


async def test_a_revoked_key_ends_at_once_here(office: Office) -> None:
    """This replica refuses it immediately. It cannot be rotated; revoked again, nothing changes."""
    made = await office.made()
    assert await office.opens(made["secret"])
    key_id = made["key"]["id"]
    revoked = await office.told("RevokeIngressKey", key_id=key_id)
    assert revoked["key"]["revoked_at"] is not None
    assert not await office.opens(made["secret"])
    assert await office.told("RevokeIngressKey", key_id=key_id) == revoked
    assert (await office.ask("RotateIngressKey", key_id=key_id)).status_code == 409


@pytest.mark.parametrize("action", ["RotateIngressKey", "RevokeIngressKey"])
async def test_a_key_that_does_not_exist(office: Office, action: str) -> None:
    """404 that names it; what is no id is 400."""
    key_id = str(uuid4())
    answer = await office.ask(action, key_id=key_id)
    assert (answer.status_code, answer.message) == (404, f"Unknown ingress key: {key_id}")
    assert (await office.ask(action, key_id="mine")).status_code == 400


async def test_what_administrators_do_is_audited(office: Office) -> None:
    """Each with the service it came through, the request's ref, and what it was done to."""
    key_id = (await office.made())["key"]["id"]
    await office.told("RotateIngressKey", key_id=key_id)
    await office.told("RevokeIngressKey", key_id=key_id)
    await office.told("ListIngressKeys")
    await office.told("ListIngressKeys", ingress_list="customer_data")
    await office.told("DeleteVcon", vcon_uuid=VCON, storages=["files"])
    await office.told("ReplayDeadLetters", list="customer_data", limit=5)
    await office.told("ReplayDeadLetters", storage="files")
    key = f"ingress_key:{key_id}"
    assert await office.audited() == [
        ("CreateIngressKey", key),
        ("RotateIngressKey", key),
        ("RevokeIngressKey", key),
        ("ListIngressKeys", "ingress_keys"),
        ("ListIngressKeys", "ingress_list:customer_data"),
        ("DeleteVcon", f"vcon:{VCON}"),
        ("ReplayDeadLetters", "list:customer_data"),
        ("ReplayDeadLetters", "storage:files"),
    ]


@pytest.mark.parametrize(
    ("action", "fields"),
    [("DeleteVcon", {"vcon_uuid": VCON}), ("ReplayDeadLetters", {"list": "customer_data"})],
)
async def test_what_cannot_be_audited_is_not_done(
    office: Office, monkeypatch: pytest.MonkeyPatch, action: str, fields: dict[str, Any]
) -> None:
    """While Postgres is away nothing is destroyed or replayed: 503."""

    def away(*_: Any) -> None:
        raise UnavailableError("Postgres is away")

    monkeypatch.setattr(office.records.ledger, "audit", away)
    assert (await office.ask(action, **fields)).status_code == 503
    assert office.operations.asked == []


async def test_the_audit_is_read_in_pages(office: Office) -> None:
    """Newest first; a page says where to go on, and what is older than `since` is left out."""
    ids = [(await office.made())["key"]["id"] for _ in range(3)]
    page = await office.told("ListAuditEvents", limit=2)
    rest = await office.told("ListAuditEvents", limit=2, cursor=page["cursor"])
    targets = [each["target"] for each in page["events"] + rest["events"]]
    assert targets == [f"ingress_key:{each}" for each in reversed(ids)]
    assert rest["cursor"] is None
    later = (datetime.now(UTC) + timedelta(hours=1)).replace(tzinfo=None)
    assert (await office.told("ListAuditEvents", since=later.isoformat()))["events"] == []
    assert (await office.ask("ListAuditEvents", cursor="x")).status_code == 400


async def test_usage_by_key_and_by_list(office: Office) -> None:
    """Rows by key and day; a key, a list or a first day narrows them down."""
    keys = [IngressKey(**(await office.made())["key"]) for _ in range(2)]
    today = datetime.now(UTC).date()
    used = Used(datetime.now(UTC), accepted=2, bytes=100, refused={"invalid": 1})
    for day in (today - timedelta(days=1), today):
        office.records.ledger.add_usage(day, {keys[0].id: used})
    office.records.ledger.add_usage(today, {keys[1].id: used})
    row = {
        "key_id": str(keys[0].id),
        "ingress_list": "customer_data",
        "day": today.isoformat(),
        "accepted": 2,
        "refused": {"invalid": 1},
        "bytes": 100,
    }
    told = await office.told("GetUsage", key_id=str(keys[0].id), since=today.isoformat())
    assert told == {"usage": [row]}
    assert len((await office.told("GetUsage", ingress_list="customer_data"))["usage"]) == 3
    assert (await office.told("GetUsage", ingress_list="support_calls"))["usage"] == []
