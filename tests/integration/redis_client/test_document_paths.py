"""A patch makes of one document the other, as if it had been written as a whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ResponseError

from pipeline.redis_client import document_paths
from pipeline.redis_client.document_paths import LONG, patch_of, was_changed
from pipeline.redis_client.script_texts import script_texts
from pipeline.runs.queues import Claim
from tests.integration.runs.lists_scene import Lists

BULK = "Zm9v" * (LONG // 2)
JOURNAL = b"{}"
NAMES = ["", "a", "a.b", 'say "a"', "it's", "back\\slash", "ä", "\U0001f600", "*", "$", "..", "\n"]
NAMES += ["[0]", "a b", "@.x", "?(@.a)", "0", "-1", "attachments", "analysis", "x" * 70]
LEAVES = st.sampled_from(
    [None, True, 0, -1, 1.5, 1e16, 2**63, "", "\\ud800", "\u0000\x1f\x7f", "ä\u2028"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)
LISTS = st.lists(VALUES | st.just(BULK), max_size=4)
PLAIN = ("a", "a.b", "ä", "attachments", "analysis", "0", "a b")
MEMBERS = st.sampled_from(PLAIN) | st.sampled_from(PLAIN) | st.sampled_from(NAMES)
DOCUMENTS = st.dictionaries(MEMBERS, VALUES | LISTS, max_size=4)


@pytest.fixture
def uuid(lists: Lists) -> str:
    """A vCon that is in flight."""
    [vcon_uuid] = lists.push("in")
    return vcon_uuid


@pytest.fixture
async def claim(lists: Lists, uuid: str) -> Claim:
    """The claim."""
    return await lists.claim()


class Journal:
    """Calls `journal.lua` over a client that blocks."""

    def __init__(self, client: Redis, claim: Claim) -> None:
        self._script = client.register_script(script_texts()["journal"])
        self._client, self._claim, self._number = client, claim, 0

    def write(self, document: bytes) -> None:
        """Write a text or a patch."""
        self._number += 1
        claim = self._claim
        fence = ("one", claim.vcon_uuid, claim.token, JOURNAL, claim.vcon_uuid)
        assert self._script(args=[*fence, document, 0, self._number]) == 1

    def stored(self) -> Any:
        """The document that Redis has."""
        return self._client.json().get(f"vcon:{self._claim.vcon_uuid}")


@pytest.fixture
def journal(client: Redis, claim: Claim) -> Journal:
    """The script, for that claim."""
    return Journal(client, claim)


def test_any_two_documents(journal: Journal) -> None:
    """By paths or as a whole, the same document is in Redis."""
    patched = 0

    @settings(max_examples=120, deadline=None)
    @given(before=DOCUMENTS, after=DOCUMENTS, shared=DOCUMENTS)
    def check(before: dict[str, Any], after: dict[str, Any], shared: dict[str, Any]) -> None:
        nonlocal patched
        bulk = {"recording": BULK}
        one, other = bulk | shared | before, bulk | shared | after
        text = orjson.dumps(other)
        journal.write(orjson.dumps(one))
        patch = patch_of(orjson.dumps(one), text)
        patched += patch is not None
        journal.write(text if patch is None else patch)
        assert journal.stored() == other

    check()
    assert patched > 10


CHANGES: dict[str, tuple[dict[str, Any], int]] = {
    "a tag": ({"attachments": [{"purpose": "tags"}]}, 200),
    "one more analysis": ({"analysis": [{"body": BULK}, {"n": 1}, {"n": 2}]}, 200),
    "another one": ({"analysis": [{"body": BULK}, {"n": 7}]}, 200),
    "a new member": ({"x.y": None}, 200),
    "nothing": ({}, 20),
}
BEFORE: dict[str, Any] = {
    "recording": BULK,
    "analysis": [{"body": BULK}, {"n": 1}],
    "attachments": [],
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_sent(journal: Journal, change: str) -> None:
    """The changed members, and of a long list the changed elements."""
    members, most = CHANGES[change]
    journal.write(orjson.dumps(BEFORE))
    patch = patch_of(orjson.dumps(BEFORE), orjson.dumps(BEFORE | members))
    assert patch is not None
    assert len(patch) < most
    journal.write(patch)
    assert journal.stored() == BEFORE | members


WHOLE: dict[str, Any] = {
    "small": ({"a": 1}, {"a": 2}),
    "most of it": (BEFORE, BEFORE | {"recording": 2 * BULK}),
    "a name that needs an escape": (BEFORE, BEFORE | {'"': 1}),
    "its end": (BEFORE | {'"': 1}, BEFORE),
    "a name like two members": ({"a": 1, "b": 2} | BEFORE, {'a":1,"b': 2} | BEFORE),
    "such a name at the end": (BEFORE | {"a": 1, "b": 2}, BEFORE | {'a":1,"b': 2}),
    "no object": ([], BEFORE),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_is_written_as_a_whole(case: str) -> None:
    """There is no patch where it would save nothing, or where a path may be misread."""
    before, after = map(orjson.dumps, WHOLE[case])
    assert patch_of(before, after) is None


def test_a_patch_that_would_hold_up_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole document is written in pieces, so that Redis serves others in between."""
    monkeypatch.setattr(document_paths, "is_large", lambda text: len(text) > 100)
    assert patch_of(orjson.dumps(BEFORE), orjson.dumps(BEFORE | {"x": "y" * 100})) is None


OTHERS: dict[str, Any] = {
    "gone": None,
    "other members": {"recording": BULK},
    "a longer list": BEFORE | {"analysis": [1, 2, 3]},
    "no list": BEFORE | {"analysis": {}},
    "no object": [1, 2, 3],
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_document_that_another_program_has_changed(
    client: Redis, journal: Journal, uuid: str, other: str
) -> None:
    """The script refuses the patch and changes nothing."""
    after = orjson.dumps(BEFORE | {"analysis": [*BEFORE["analysis"], 1], "attachments": [1]})
    patch = patch_of(orjson.dumps(BEFORE), after)
    assert patch is not None
    if OTHERS[other] is None:
        client.delete(f"vcon:{uuid}")
    else:
        journal.write(orjson.dumps(OTHERS[other]))
    with pytest.raises(ResponseError) as refused:
        journal.write(patch)
    assert was_changed(refused.value)
    assert OTHERS[other] is None or journal.stored() == OTHERS[other]


def test_a_patch_that_is_sent_again(journal: Journal) -> None:
    """It is refused if it would append twice."""
    journal.write(orjson.dumps(BEFORE))
    after = BEFORE | {"analysis": [*BEFORE["analysis"], 1]}
    patch = patch_of(orjson.dumps(BEFORE), orjson.dumps(after))
    assert patch is not None
    journal.write(patch)
    with pytest.raises(ResponseError, match=r"^CHANGED"):
        journal.write(patch)
    assert journal.stored() == after
