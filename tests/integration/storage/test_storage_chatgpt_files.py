"""The storage at OpenAI, against the limits of its files and vector stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.http_stand_in import Request
from tests.integration.support.vendors.openai_files import STORE, OpenAIFiles, openai_files
from tests.plugins.scene import TAGGED, Later, canonical, sample_names

chatgpt_files = Later("storage.chatgpt_files")
VCON = canonical(TAGGED)
UUID = VCON["uuid"]
NAME = f"{UUID}.vcon.json"
OTHER = "00000000-0000-8000-8000-000000000000"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIFiles]:
    """OpenAI, where the library finds it."""
    with openai_files() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        yield server


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


def saved(server: OpenAIFiles) -> list[tuple[str, dict[str, Any]]]:
    """The names and the vCons of all files."""
    return [
        (file["filename"], json.loads(server.contents[name])) for name, file in server.files.items()
    ]


async def test_a_repeated_save_replaces_the_file(server: OpenAIFiles, store: VconStore) -> None:
    """One file, in the vector store, with attributes of the last save."""
    for subject in ("first", "second", "x" * 1000):
        await store.put(VCON | {"subject": subject})
        await chatgpt_files.save(UUID, server.options)
        assert saved(server) == [(NAME, VCON | {"subject": subject})]
        [(name, entry)] = server.stores[STORE].items()
        assert list(server.files) == [name]
        assert entry["attributes"]["vcon_uuid"] == UUID
        assert entry["attributes"]["subject"] == subject[:512]
        assert entry["attributes"]["created_at"].startswith("2023-04-03T14:20:11")


async def test_an_unchanged_vcon_is_not_sent_again(server: OpenAIFiles) -> None:
    """Unless OpenAI could not index it."""
    await chatgpt_files.save(UUID, server.options)
    before = dict(server.files)
    server.got.clear()
    server.methods.clear()
    await chatgpt_files.save(UUID, server.options)
    assert server.methods == ["GET", "GET"]
    assert server.files == before
    server.stores[STORE][next(iter(before))]["status"] = "failed"
    await chatgpt_files.save(UUID, server.options)
    assert len(server.files) == 1
    assert server.files.keys() != before.keys()


async def test_files_of_others_are_left_alone(server: OpenAIFiles, store: VconStore) -> None:
    """Another vCon's, another purpose's, and one of this vCon in no store, or in another."""
    await store.put(VCON | {"uuid": OTHER})
    await chatgpt_files.save(OTHER, server.options)
    server.stores["vs_other"] = {}
    await chatgpt_files.save(UUID, server.options | {"vector_store_id": "vs_other"})
    server.put(NAME, b"{}", "user_data")
    server.put(f"x{NAME}", b"{}")
    others = dict(server.files)
    for subject in ("first", "second"):
        await store.put(VCON | {"subject": subject})
        await chatgpt_files.save(UUID, server.options)
    assert len(server.files) == len(others) + 1
    assert others.items() <= server.files.items()


async def test_delete_takes_all_files_of_the_vcon(server: OpenAIFiles, store: VconStore) -> None:
    """Also those in no store, on later pages; none of another vCon."""
    await chatgpt_files.save(UUID, server.options | {"replace": False})
    server.put(NAME, b"{}")
    await store.put(VCON | {"uuid": OTHER})
    await chatgpt_files.save(OTHER, server.options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.chatgpt_files.PAGE", 1)
        assert [await chatgpt_files.delete(UUID, server.options) for _ in range(2)] == [True, False]
    assert [file["filename"] for file in server.files.values()] == [f"{OTHER}.vcon.json"]
    assert len(server.stores[STORE]) == 1


async def test_older_files_than_the_vcon_are_not_searched(
    server: OpenAIFiles, store: VconStore
) -> None:
    """A new vCon costs one page, however many files there are; a wrong date costs all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.chatgpt_files.PAGE", 2)
        server.now = int(datetime.fromisoformat(VCON["created_at"]).timestamp()) - 90_000
        for number in range(9):
            server.put(f"{number}", b"{}")
        server.now += 90_000
        await chatgpt_files.save(UUID, server.options)
        assert server.methods.count("GET") == 1
        await store.put(VCON | {"created_at": "2999-01-01T00:00:00Z"})
        server.methods.clear()
        await chatgpt_files.save(UUID, server.options)
        assert server.methods.count("GET") == 5 + 1 + 1  # the last one: is the newer file there?
    assert [name for name, _ in saved(server)].count(NAME) == 1


async def test_a_file_that_cannot_be_attached_is_deleted(server: OpenAIFiles) -> None:
    """It would be a copy that is in no store."""
    options = server.options | {"vector_store_id": "vs_missing"}
    with pytest.raises(VendorError, match="answered 404: Vector store with id 'vs_missing'"):
        await chatgpt_files.save(UUID, options)
    assert server.files == {}


async def test_the_older_file_stays_until_the_newer_is_there(
    server: OpenAIFiles, store: VconStore
) -> None:
    """A failed upload loses nothing."""
    await chatgpt_files.save(UUID, server.options)
    await store.put(VCON | {"subject": "newer"})
    server.answers = ["ok", "ok", "503", "503"]
    with pytest.raises(VendorError, match="OpenAI answered 503") as caught:
        await chatgpt_files.save(UUID, server.options | {"retries": 1})
    assert caught.value.peer_failed is True
    assert saved(server) == [(NAME, VCON)]


@pytest.mark.parametrize("fault", ["500", "429 Retry-After: 0", "drop"])
async def test_what_may_pass_is_sent_again(server: OpenAIFiles, fault: str) -> None:
    """Each of the three requests."""
    server.answers = [fault, "ok"] * 3
    await chatgpt_files.save(UUID, server.options)
    assert saved(server) == [(NAME, VCON)]
    assert len(server.stores[STORE]) == 1


async def test_content_where_openai_gives_it_back(server: OpenAIFiles, store: VconStore) -> None:
    """Every sample; None without a request for the other purposes."""
    options = server.options | {"purpose": "evals"}
    for document in map(canonical, sample_names()):
        await store.put(document)
        await chatgpt_files.save(document["uuid"], options)
        assert await chatgpt_files.get(document["uuid"], options) == document
    assert await chatgpt_files.get(OTHER, options) is None
    server.got.clear()
    for purpose in ("assistants", "user_data"):
        assert await chatgpt_files.get(UUID, server.options | {"purpose": purpose}) is None
    assert not server.got


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
@pytest.mark.parametrize(
    "body", ["null", "{}", "[]", "<html>", '{"data": [1]}', '{"data": [{"id": 5}]}', "[" * 100_000]
)
async def test_an_answer_of_another_server(server: OpenAIFiles, body: str, kind: str) -> None:
    """200 of a proxy or a wrong URL is neither a saved vCon, nor a deleted one, nor an absence."""
    server.headers = {"content-type": kind}
    server.reply_to = lambda _: body.encode()  # type: ignore[method-assign]
    options = server.options | {"purpose": "evals", "retries": 0}
    for call in (chatgpt_files.save, chatgpt_files.get, chatgpt_files.delete):
        with pytest.raises(VendorError):
            await call(UUID, options)


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [("POST", "/v1/files", "save"), ("POST", STORE, "save"), ("DELETE", "/v1/files/", "delete")],
)
async def test_an_answer_that_confirms_nothing(
    server: OpenAIFiles, method: str, path: str, call: str
) -> None:
    """It is an error, also with the status 200."""
    if call == "delete":
        await chatgpt_files.save(UUID, server.options)
    reply_to = server.reply_to

    def reply(request: Request) -> bytes:
        return b"{}" if request.method == method and path in request.path else reply_to(request)

    server.reply_to = reply  # type: ignore[method-assign]
    with pytest.raises(VendorError, match="not one of its API; check OPENAI_BASE_URL"):
        await getattr(chatgpt_files, call)(UUID, server.options)


async def test_a_file_that_is_deleted_meanwhile_is_sent_again(
    server: OpenAIFiles, store: VconStore
) -> None:
    """By another process that saves, and counts it among its own older files."""
    await chatgpt_files.save(UUID, server.options)
    await store.put(VCON | {"subject": "newer"})
    reply_to, deletes = server.reply_to, [True]

    def reply(request: Request) -> bytes:
        answer = reply_to(request)
        if request.method == "DELETE" and deletes:
            deletes.clear()
            for entries in (server.files, server.contents, server.stores[STORE]):
                entries.clear()
        return answer

    server.reply_to = reply  # type: ignore[method-assign]
    await chatgpt_files.save(UUID, server.options)
    assert saved(server) == [(NAME, VCON | {"subject": "newer"})]


async def test_without_a_vector_store(server: OpenAIFiles) -> None:
    """A file alone, one however often it is saved."""
    for _ in range(2):
        await chatgpt_files.save(UUID, server.options | {"vector_store_id": ""})
        assert saved(server) == [(NAME, VCON)]
    assert server.stores[STORE] == {}


async def test_attributes_of_the_options(server: OpenAIFiles) -> None:
    """Beside the vCon's own, which they cannot replace."""
    more = {"tenant": "north", "year": 2026, "kept": True, "vcon_uuid": "mine"}
    await chatgpt_files.save(UUID, server.options | {"attributes": more})
    [entry] = server.stores[STORE].values()
    assert entry["attributes"].items() >= (more | {"vcon_uuid": UUID}).items()


async def test_a_wrong_key(server: OpenAIFiles) -> None:
    """One attempt, and an error without it."""
    with pytest.raises(VendorError, match=r"^OpenAI answered 401$"):
        await chatgpt_files.save(UUID, server.options | {"api_key": canary("another-key-dfc4")})
    assert len(server.got) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vector_store_id", "vs/../x"),
        ("purpose", "fine-tune"),
        ("attributes", {f"a{number}": "x" for number in range(13)}),
        ("attributes", {"a" * 65: "x"}),
        ("attributes", {"a": "x" * 513}),
        ("attributes", {"a": {"b": "c"}}),
    ],
)
def test_wrong_options(name: str, value: object) -> None:
    """Each is named at the start, before OpenAI refuses it."""
    with pytest.raises(ValueError, match=name):
        chatgpt_files.Options.of({"api_key": "k", name: value})
