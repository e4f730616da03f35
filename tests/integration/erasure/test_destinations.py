"""Destinations one by one: what is deleted, read again, told, and what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from pipeline.admin.egress import Egress
from pipeline.law.writing.statements import ERASURE_REQUEST, verified
from pipeline.redis_client import keys
from schemas.law.erasures import Erasure
from tests.integration.erasure.erasure_scene import MODULES, Scene, erased, states
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.law_keys import certificate_pem, ec_key

from datetime import UTC, datetime  # isort: skip


SHELVED = {"shelf": "verified"}
"""What the chain has stored, by the index."""


def error_of(erasure: Erasure, name: str) -> str | None:
    """The error of a destination."""
    return next(each.error for each in erasure.targets if each.name == name)


ENDS = {
    ("storage", "shelf"): "verified",
    ("storage", "vault"): "deleted",
    ("storage", "archive"): "cannot",
    ("storage", "partner"): "told",
    ("storage", "retired"): "unreachable",
    ("link", "crm"): "told",
    ("link", "tag"): "deleted",
    ("link", "keeper"): "cannot",
    ("link", "retired"): "unreachable",
    ("tracer", "retired"): "unreachable",
    ("egress", "out"): "cannot",
    ("read", "ann"): "cannot",
}


async def test_each_kind_of_destination_has_its_end(erasing: Scene) -> None:
    """A delivery that was only begun counts, too; what was told waits for its answer."""
    vcon_uuid = erasing.people.in_index(None, 0)
    for kind, name in ENDS:
        erasing.delivered(vcon_uuid, **{kind: name})
    files = [erasing.kept(vcon_uuid, name) for name in ("shelf", "vault")]
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    found = {(each.kind, each.name): each.state for each in erasure.targets if each.kind != "redis"}
    assert (found, erasure.state) == (ENDS, "manual")
    assert not any(each.exists() for each in files)


@pytest.mark.parametrize("state", ["cannot", "unreachable"])
async def test_what_may_still_have_a_copy_is_an_exception(erasing: Scene, state: str) -> None:
    """An erasure whose other destinations are done does not wait for it."""
    vcon_uuid = erasing.people.in_index(None, 0)
    erasing.delivered(vcon_uuid, link="keeper" if state == "cannot" else "retired")
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    assert erasure.state == "complete_with_exceptions"
    assert [each.state for each in erasure.exceptions] == [state]


@pytest.mark.parametrize(
    ("marker", "name", "error"),
    [
        ("down", "shelf", "OSError"),
        ("unreadable", "shelf", "OSError"),
        (None, "liar", "StillThere"),
        (None, "failing", "PluginFailedError"),
    ],
)
async def test_a_storage_that_fails_is_tried_again(
    erasing: Scene, marker: str | None, name: str, error: str
) -> None:
    """With a pause; its error is kept as a type, since its text may be about a person."""
    vcon_uuid = erasing.people.in_index(None, 0, name)
    storage = name if marker is None and name == "liar" else "shelf"
    file, folder = erasing.kept(vcon_uuid, storage), erasing.folder("shelf")
    (folder / marker).touch() if marker else None
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        assert (erasure.state, error_of(erasure, name)) == ("waiting", error)
        assert erasure.due_at is not None
        assert await process.erasures.advance(erasure.id) == erasure  # not due
        if marker is None:
            return
        (folder / marker).unlink()
        erasing.hurry()
        erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, states(erasure), file.exists()) == (
        "complete",
        {"shelf": "verified"},
        False,
    )


async def test_a_storage_that_cannot_be_read_again_for_long_stays_deleted(erasing: Scene) -> None:
    """The erasure does not wait for ever to be sure; it does not say that it was."""
    vcon_uuid = erasing.people.in_index(None, 0, "shelf")
    (erasing.folder("shelf") / "unreadable").touch()
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        for _ in range(5):
            erasing.hurry()
            erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, states(erasure)) == ("complete", {"shelf": "deleted"})


def given_out(erasing: Scene, *, times: int = 1, copies: int = 1) -> str:
    """A vCon that was put into the list `out` so often, and is still there so often."""
    vcon_uuid = erasing.people.in_redis(*["out"] * copies)
    erasing.people.in_index(vcon_uuid, 0, "shelf")
    for _ in range(times):
        erasing.delivered(vcon_uuid, egress="out")
    return vcon_uuid


def lent(erasing: Scene, vcon_uuid: str) -> None:
    """A reader has leased it, and not acknowledged it in time."""
    erasing.people.operator.redis.lrem("out", 0, vcon_uuid)
    erasing.people.operator.redis.zadd(keys.lease("out"), {vcon_uuid: 1})
    erasing.people.operator.redis.sadd(keys.LENDERS, "out")


async def test_an_egress_list_that_nobody_has_read_is_cleaned(erasing: Scene) -> None:
    """Then no reader has the vCon; where one may have it, the service cannot say so."""
    unread, read = given_out(erasing), given_out(erasing, copies=0)
    read_once, leased = given_out(erasing, times=2), given_out(erasing)
    lent(erasing, leased)
    found = {}
    async with erasing.process() as process:
        await Egress(process.work._lists._connection, vcon_expiry=60).take_back()
        assert await process.plan.unread([unread, read, read_once, leased]) == {(unread, "out"): 1}
        for each in (unread, read, read_once, leased):
            found[each] = states(await erased(process.erasures, each))["out"]
    assert list(found.values()) == ["verified", "cannot", "cannot", "cannot"]
    assert erasing.people.operator.redis.lrange("out", 0, -1) == []


async def test_what_a_reader_takes_meanwhile_is_not_called_deleted(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that comes between the look at the list and the removal has the vCon."""
    vcon_uuid, redis = given_out(erasing), erasing.people.operator.redis
    async with erasing.process() as process:
        unread = process.plan.unread

        async def then_read(vcon_uuids: Sequence[str]) -> Any:
            found = await unread(vcon_uuids)
            redis.lpop("out")
            return found

        monkeypatch.setattr(process.plan, "unread", then_read)
        erasure = await erased(process.erasures, vcon_uuid)
    assert states(erasure)["out"] == "cannot"


async def test_a_version_whose_lease_has_ended_was_read(erasing: Scene) -> None:
    """A reader had it, though it is in the list again."""
    vcon_uuid, redis = erasing.people.in_redis(), erasing.people.operator.redis
    erasing.people.in_index(vcon_uuid, 0, "shelf")
    version = erasing.people.in_redis("out")
    redis.hset(keys.about(vcon_uuid), f"{keys.VERSION_OF}{version}", "")
    erasing.people.ran(vcon_uuid)
    lent(erasing, version)
    async with erasing.process() as process:
        await Egress(process.work._lists._connection, vcon_expiry=60).take_back()
        assert redis.lrange("out", 0, -1) == [version]
        erasure = await erased(process.erasures, vcon_uuid)
    assert states(erasure)["out"] == "cannot"


@pytest.mark.parametrize("is_in_the_list", [True, False], ids=["in the list", "read"])
async def test_a_version_in_an_egress_list_counts_as_the_vcon(
    erasing: Scene, is_in_the_list: bool
) -> None:
    """It is given out in its place; with `CUSTODY=redis` the history that waits names it."""
    vcon_uuid, redis = erasing.people.in_redis(), erasing.people.operator.redis
    erasing.people.in_index(vcon_uuid, 0, "shelf")
    version = erasing.people.in_redis(*["out"] * is_in_the_list)
    redis.hset(keys.about(vcon_uuid), f"{keys.VERSION_OF}{version}", "")
    erasing.people.ran(vcon_uuid)
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    assert sorted(erasure.vcons) == sorted([vcon_uuid, version])
    assert states(erasure)["out"] == ("verified" if is_in_the_list else "cannot")
    assert redis.lrange("out", 0, -1) == []


async def test_a_receiver_is_told_until_it_answers(erasing: Scene) -> None:
    """In a signed message, the same under one key; a redirect is not followed."""
    erasing.receiver.answers[:] = ["503", "drop", "307 Location: /elsewhere", "ok"]
    vcon_uuid = erasing.people.in_index(None, 0)
    erasing.delivered(vcon_uuid, link="crm")
    errors = []
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        while erasure.state == "waiting":
            errors.append(error_of(erasure, "crm"))
            erasing.hurry()
            erasure = await process.erasures.advance(erasure.id)
        assert errors == ["HTTP503", "RemoteProtocolError", "HTTP307"]
        assert (erasure.state, states(erasure)) == ("manual", SHELVED | {"crm": "told"})
        ended = await process.erasures.answer(erasure.id, "link", "crm", "acknowledged")
        ended = await process.erasures.advance(erasure.id)
    assert (ended.state, states(ended)) == ("complete", SHELVED | {"crm": "acknowledged"})
    assert [path for path, *_ in erasing.receiver.got] == ["/crm"] * 4
    heads = [headers for _, headers, _ in erasing.receiver.got]
    assert {each["idempotency-key"] for each in heads} == {f"{erasure.id}:{vcon_uuid}:link:crm"}
    assert {each["x-tenant"] for each in heads} == {"seven"}
    anchors = [certificate_pem(ec_key())]
    said = verified(
        erasing.receiver.got[-1][2].decode(), ERASURE_REQUEST, anchors, datetime.now(UTC)
    )
    assert said.content["vcon"] == vcon_uuid
    assert (said.content["erasure"], said.content["step"]) == (erasure.id, "crm")


async def test_only_a_clear_answer_acknowledges(erasing: Scene) -> None:
    """Others say that the message has arrived."""
    clear, padded = {"erased": True}, {"erased": True, "padding": "x" * 70_000}
    answers: list[Any] = [clear, {"erased": "yes"}, padded, []]
    found = []
    async with erasing.process() as process:
        for answer in answers:
            erasing.receiver.replies["/crm"] = answer
            vcon_uuid = erasing.people.in_index(None, 0)
            erasing.delivered(vcon_uuid, link="crm")
            found.append(states(await erased(process.erasures, vcon_uuid))["crm"])
    assert found == ["acknowledged", "told", "told", "told"]


async def test_every_storage_is_asked_for_a_vcon_that_no_index_knows(erasing: Scene) -> None:
    """It may have been stored before there was an index."""
    async with erasing.process() as process:
        erasure = await erased(process.erasures, new_uuid())
    assert states(erasure).keys() == {*MODULES, "failing"}


@pytest.mark.parametrize("name", ["mirror", "sealed", "partner"])
@pytest.mark.parametrize("marker", [None, "unreadable"])
async def test_a_storage_is_told_however_often_its_receiver_is_down(
    erasing: Scene, name: str, marker: str | None
) -> None:
    """Also one that has deleted its copy, and one that cannot be read again."""
    erasing.receiver.answers[:] = ["503"] * 6
    vcon_uuid = erasing.people.in_index(None, 0, name)
    (erasing.folder(name) / marker).touch() if marker else None
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        for _ in range(12):
            erasing.hurry()
            erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, states(erasure)[name]) == ("manual", "told")
    assert len(erasing.receiver.got) == 7


@pytest.mark.parametrize("is_under_way", [True, False], ids=["under way", "ended"])
async def test_destinations_of_a_chain_without_custody_are_those_of_its_history(
    erasing: Scene, is_under_way: bool
) -> None:
    """Also those of a run that ends after the erasure has begun; a withheld step got nothing."""
    vcon_uuid, redis = erasing.people.in_redis(), erasing.people.operator.redis
    erasing.people.in_index(vcon_uuid, 0)
    steps = [
        {"kind": kind, "name": name, "outcome": outcome, "seconds": 1}
        for kind, name, outcome in (
            ("link", "tag", "ok"),
            ("link", "keeper", "failed"),
            ("link", "crm", "withheld"),
            ("storage", "vault", "failed"),
            ("storage", "retired", "ok"),
        )
    ]
    ran = partial(erasing.people.ran, vcon_uuid, status="partial", steps=steps)
    ran() if not is_under_way else redis.hset(keys.LOCKS, vcon_uuid, "one")
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        if is_under_way:
            assert (erasure.state, states(erasure)) == ("waiting", {"shelf": "pending"})
            ran()
            redis.delete(keys.LOCKS)
            erasing.hurry()
            erasure = await process.erasures.advance(erasure.id)
    told = {"tag": "deleted", "keeper": "cannot", "vault": "deleted", "retired": "unreachable"}
    assert states(erasure) == SHELVED | told | {"out": "cannot"}
    assert erasure.state == "complete_with_exceptions"
