"""Destinations one by one: what is deleted, read again, told, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.law.writing.statements import ERASURE_REQUEST, verified
from schemas.law.erasures import Erasure
from tests.integration.erasure.erasure_scene import Scene, erased, states
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.law_keys import certificate_pem, ec_key

from datetime import UTC, datetime  # isort: skip


SHELVED = {"shelf": "verified"}
"""What the chain has stored, by the index."""


def error_of(erasure: Erasure, name: str) -> str | None:
    """The error of a destination."""
    return next(each.error for each in erasure.targets if each.name == name)


@pytest.mark.parametrize(
    ("kind", "name", "state"),
    [
        ("storage", "shelf", "verified"),
        ("storage", "vault", "deleted"),
        ("storage", "archive", "cannot"),
        ("storage", "partner", "told"),
        ("storage", "retired", "unreachable"),
        ("link", "crm", "told"),
        ("link", "tag", "deleted"),
        ("link", "keeper", "cannot"),
        ("link", "retired", "unreachable"),
        ("tracer", "retired", "unreachable"),
        ("egress", "out", "cannot"),
        ("read", "ann", "cannot"),
    ],
)
async def test_each_kind_of_destination_has_its_end(
    erasing: Scene, kind: str, name: str, state: str
) -> None:
    """A delivery that was only begun counts, too."""
    vcon_uuid = erasing.people.in_index(None, 0)
    erasing.delivered(vcon_uuid, **{kind: name})
    file = erasing.kept(vcon_uuid)
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    assert {each.kind: each.state for each in erasure.targets if each.name == name} == {kind: state}
    ends = "manual" if state == "told" else "complete"
    ends = "complete_with_exceptions" if state in ("cannot", "unreachable") else ends
    assert erasure.state == ends
    assert not file.exists()


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


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"erased": True}, "acknowledged"),
        ({"erased": "yes"}, "told"),
        ({"erased": True, "padding": "x" * 70_000}, "told"),
        ([], "told"),
    ],
    ids=["erased", "no boolean", "too long", "no object"],
)
async def test_only_a_clear_answer_acknowledges(erasing: Scene, body: Any, state: str) -> None:
    """Others say that the message has arrived."""
    erasing.receiver.replies["/crm"] = body
    vcon_uuid = erasing.people.in_index(None, 0)
    erasing.delivered(vcon_uuid, link="crm")
    async with erasing.process() as process:
        assert states(await erased(process.erasures, vcon_uuid)) == SHELVED | {"crm": state}


async def test_every_storage_is_asked_for_a_vcon_that_no_index_knows(erasing: Scene) -> None:
    """It may have been stored before there was an index."""
    async with erasing.process() as process:
        erasure = await erased(process.erasures, new_uuid())
    assert states(erasure).keys() == {"shelf", "vault", "archive", "liar", "partner", "failing"}
