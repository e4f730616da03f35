"""The storage at Utopia, with a server with its rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import ConfigurationError
from lib.web.http_retry import VendorError
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from storage import utopia
from storage.utopia.rendering import rendered
from tests.canaries import canary
from tests.integration.support.http_stand_in import Request, stand_in
from tests.integration.support.vendors.utopia import Utopia
from tests.integration.support.vendors_scene import HEARD, transcribed
from tests.plugins.scene import canonical, sample_names

VCON = transcribed()
UUID = VCON["uuid"]
OTHER = "00000000-0000-8000-8000-000000000000"
PASSWORD = canary("phrase-of-utopia-4f54")
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Utopia]:
    """A knowledge base."""
    with stand_in(Utopia(password=PASSWORD)) as server:
        yield server


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


def basis(*purposes: str, until: Any = "2027-01-01T00:00:00Z") -> dict[str, Any]:
    """The attachment with a lawful basis."""
    grants = [{"purpose": each, "granted": True} for each in purposes]
    told = {"lawful_basis": "consent", "expiration": until, "purpose_grants": grants}
    return {"purpose": "lawful_basis", "encoding": "json", "body": json.dumps(told)}


def after(server: Utopia, other: Callable[[Request], None]) -> None:
    """Let another process do something after each request, before its answer."""
    reply_to = server.reply_to

    def reply(request: Request) -> bytes:
        answer = reply_to(request)
        other(request)
        return answer

    server.reply_to = reply  # type: ignore[method-assign]


async def test_a_vcon_is_a_document(server: Utopia) -> None:
    """One sign-in, and a second save leaves the knowledge base as it is."""
    for _ in range(2):
        await utopia.save(UUID, server.options)
        [document] = server.live
        assert (document["filename"], document["mime"]) == (f"{UUID}.md", "text/markdown")
        assert HEARD in document["content"]
        assert document["content"].startswith(f"{VCON['created_at'][:10]}\n")
    assert len(server.documents) == server.logins == 1


async def test_another_content_replaces_the_document(server: Utopia, store: VconStore) -> None:
    """Also one that the vCon had before, and documents that an interrupted save has left."""
    await utopia.save(UUID, server.options)
    for subject in ("one", "two", "one"):
        await store.put(VCON | {"subject": subject})
        await utopia.save(UUID, server.options)
        [document] = server.live
        assert f"Subject: {subject}." in document["content"]
    for each in server.documents.values():
        each["deleted"] = False
    await utopia.save(UUID, server.options)
    assert [f"Subject: {subject}." in each["content"] for each in server.live] == [True]


async def test_a_document_that_came_meanwhile_stays(server: Utopia, store: VconStore) -> None:
    """Of another process, which has saved a newer content."""
    await utopia.save(UUID, server.options)
    await store.put(VCON | {"subject": "one"})

    def other(request: Request) -> None:
        if request.method == "POST":
            server.put(f"{UUID}.md", b"newer")

    after(server, other)
    await utopia.save(UUID, server.options)
    assert sorted(len(each["content"]) > 10 for each in server.live) == [False, True]


async def test_a_document_that_is_deleted_meanwhile_is_sent_again(
    server: Utopia, store: VconStore
) -> None:
    """By another process, which saves an older content."""
    await utopia.save(UUID, server.options)
    await store.put(VCON | {"subject": "one"})
    deletes = [True]

    def other(request: Request) -> None:
        if request.method == "DELETE" and deletes:
            deletes.clear()
            for each in server.live:
                each["deleted"] = True

    after(server, other)
    await utopia.save(UUID, server.options)
    assert any("Subject: one." in each["content"] for each in server.live)


async def test_an_upload_without_a_document_is_an_error(server: Utopia) -> None:
    """An answer that names none is not a saved vCon, even with the status 200."""
    reply_to = server.reply_to

    def reply(request: Request) -> bytes:
        uploads = request.method == "POST" and request.path.endswith("/documents")
        return b"{}" if uploads else reply_to(request)

    server.reply_to = reply  # type: ignore[method-assign]
    with pytest.raises(VendorError, match=f"does not list the document of the vCon {UUID}"):
        await utopia.save(UUID, server.options)


async def test_a_token_that_no_header_can_have(server: Utopia) -> None:
    """It is not kept: the next sign-in counts."""
    reply_to = server.reply_to
    server.reply_to = lambda _: b'{"token": "a\\r\\nb: c"}'  # type: ignore[method-assign]
    with pytest.raises(VendorError, match="without a token"):
        await utopia.save(UUID, server.options)
    server.reply_to = reply_to  # type: ignore[method-assign]
    await utopia.save(UUID, server.options)
    assert len(server.live) == 1


async def test_deleting_finds_this_vcon_alone(server: Utopia, store: VconStore) -> None:
    """True once."""
    other = canonical("tags-as-json-text-0.4.0")
    await store.put(other)
    for each in (UUID, other["uuid"]):
        await utopia.save(each, server.options)
    assert await utopia.delete(UUID, server.options) is True
    assert await utopia.delete(UUID, server.options) is False
    assert [each["filename"] for each in server.live] == [f"{other['uuid']}.md"]


async def test_an_expired_token(server: Utopia) -> None:
    """The storage signs in again, once for all requests."""
    await utopia.save(UUID, server.options)
    server.tokens.clear()
    await asyncio.gather(*(utopia.save(UUID, server.options) for _ in range(3)))
    assert server.logins == 2


@pytest.mark.parametrize("answer", ["503 Retry-After: 0", "429 Retry-After: 0", "cut", "drop"])
async def test_what_may_pass_is_asked_again(server: Utopia, answer: str) -> None:
    """Also a sign-in and an upload whose answers are lost."""
    server.answers = [answer, "ok", answer]
    await utopia.save(UUID, server.options)
    assert len(server.documents) == len(server.live) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong-password"}, "answered 401$"),
        ({"kb_id": OTHER}, "answered 404: not found"),
    ],
)
async def test_what_is_refused(server: Utopia, changes: dict[str, Any], words: str) -> None:
    """At once; no password is in the error."""
    with pytest.raises(VendorError, match=words) as failure:
        await utopia.save(UUID, server.options | changes)
    assert "password" not in str(failure.value)


async def test_a_token_that_is_never_accepted(
    server: Utopia, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One renewal, and then an error."""
    monkeypatch.setattr(server, "tokens", type("Nothing", (set,), {"add": lambda *_: None})())
    with pytest.raises(VendorError, match="answered 401"):
        await utopia.save(UUID, server.options)
    assert server.logins == 2


async def test_vcons_without_a_grant(
    server: Utopia, store: VconStore, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not sent where the option says so."""
    asking = server.options | {"require_analysis_grant": True}
    await utopia.save(UUID, asking)
    assert server.got == []
    assert "analysis is not granted" in caplog.text
    await store.put(VCON | {"attachments": [basis("analysis", until="2999-01-01")]})
    await utopia.save(UUID, asking)
    assert len(server.live) == 1


@pytest.mark.parametrize("missing", ["kb_id", "email", "password"])
def test_what_is_told_at_the_start(server: Utopia, missing: str) -> None:
    """With the option; no password is in it."""
    storages = {"it": {"module": "storage.utopia", "options": server.options | {missing: ""}}}
    chain = {"storages": ["it"], "ingress_lists": ["in"]}
    with pytest.raises(ConfigurationError) as error:
        load(parse({"storages": storages, "chains": {"c": chain}}, {}))
    assert missing in str(error.value)
    assert PASSWORD not in str(error.value)


@pytest.mark.parametrize(
    ("attachments", "sentence", "grants"),
    [
        ([], "Lawful basis: not recorded.", False),
        ([basis("analysis")], "consent, granted for analysis, until 2027-01-01.", True),
        ([basis("recording")], "granted for recording", False),
        ([basis("analysis", until="2020-01-01")], "until 2020-01-01.", False),
        ([basis("analysis", until="soon")], "until soon.", False),
        ([basis("analysis", until=None)], "granted for analysis.", True),
        ([basis()], "consent, for no purpose", False),
        ([{"purpose": "lawful_basis", "body": "{"}], "not recorded.", False),
        ([{"purpose": "lawful_basis", "body": {"purpose_grants": 7}}], "not stated", False),
    ],
)
def test_the_lawful_basis(attachments: list[Any], sentence: str, grants: bool) -> None:
    """Nothing is filled in, and what cannot be read grants nothing."""
    text, granted = rendered(VCON | {"attachments": attachments}, NOW)
    assert sentence in text
    assert granted is grants


def test_the_sentences() -> None:
    """Of parties, dialogs, what was said, tags and the source."""
    segments = [{"text": "Hello.", "speaker": 0}, {"text": "Hi."}, 7, {"text": " "}]
    document = {
        "uuid": UUID,
        "created_at": "2026-09-18T23:30:00-05:00",
        "subject": "A\n2020-01-01\nbike",
        "parties": [{"name": "Ann", "tel": "+1", "role": "agent"}, {"mailto": "b@x.example"}, {}],
        "dialog": [
            {
                "type": "recording",
                "start": "2026-09-18T23:30:00-05:00",
                "duration": 4.4,
                "parties": [[0], [1, 9, None]],
            },
            {"type": "text"},
        ],
        "analysis": [
            {"type": "summary", "body": "A broken bike.", "encoding": "none"},
            {"type": "wtf_transcription", "dialog": 0, "body": json.dumps({"segments": segments})},
        ],
        "attachments": [{"purpose": "tags", "body": '["a:b"]'}, {"purpose": "tags", "body": "{"}],
        "redacted": {"uuid": OTHER},
    }
    assert rendered(document, NOW).text == (
        "2026-09-18\n\n"
        f"# Conversation {UUID}\n\n"
        "Subject: A 2020-01-01 bike.\n\n"
        "Ann took part as agent and can be reached at +1.\n"
        "b@x.example took part.\n"
        "A party without a name took part.\n"
        "On 2026-09-18 at 23:30, Ann and b@x.example had a recorded call of 4 seconds.\n"
        "There was a text conversation.\n\n"
        "Summary: A broken bike.\n\n"
        "What was said on 2026-09-18 at 23:30:\n\n"
        "Speaker 0: Hello.\nHi.\n\n"
        "Tags: a:b.\n\n"
        "Lawful basis: not recorded.\n"
        f"Source: vCon {UUID}, created 2026-09-18T23:30:00-05:00, redacted from vCon {OTHER}.\n"
    )


@pytest.mark.parametrize("name", sample_names())
def test_every_sample(name: str) -> None:
    """Has a text, the same at another time."""
    document = canonical(name)
    assert rendered(document, NOW).text == rendered(document, datetime.now(UTC)).text
