"""The storage at Space and Time, with a gateway that runs the statements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import ConfigurationError
from lib.web.http_retry import VendorError
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from storage import spaceandtime
from tests.canaries import canary
from tests.integration.support.http_stand_in import Request, stand_in
from tests.integration.support.vendors.spaceandtime import TABLE, SpaceAndTime, refuse
from tests.integration.support.vendors_scene import transcribed
from tests.plugins.scene import canonical

VCON = canonical("tags-as-json-text-0.4.0")
UUID = VCON["uuid"]
OTHER = "00000000-0000-8000-8000-000000000000"
KEY, BISCUIT = canary("sxt_key-2c70"), canary("biscuit-660f")
VARIABLES = (
    *("SXT_API_KEY", "SXT_VCON_TABLENAME"),
    *("SXT_VCON_TABLE_WRITE_BISCUIT", "SXT_VCON_TABLE_WRITE_BISCUI"),
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpaceAndTime]:
    """A gateway, and nothing about one in the environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with stand_in(SpaceAndTime(KEY, BISCUIT)) as server:
        yield server
    server.close()


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def test_a_vcon_is_a_row(server: SpaceAndTime) -> None:
    """With vcon-server's columns; a second save writes nothing."""
    await spaceandtime.save(UUID, server.options)
    [row] = server.rows
    assert (row["UUID"], row["VCON"]) == (UUID, "0.4.0")
    assert row["CREATED_AT"][:10] == VCON["created_at"][:10]
    assert json.loads(row["VCON_JSON"]) == VCON
    sent = len(server.got)
    await spaceandtime.save(UUID, server.options)
    assert len(server.got) == sent + 1
    assert server.got[-1][2].startswith(b'{"sqlText":"SELECT')
    assert await spaceandtime.get(UUID, server.options) == VCON
    assert KEY not in json.dumps(server.rows)


async def test_a_changed_vcon_replaces_its_row(server: SpaceAndTime, store: VconStore) -> None:
    """And it alone."""
    await spaceandtime.save(UUID, server.options)
    other = transcribed()
    await store.put(other)
    await spaceandtime.save(other["uuid"], server.options)
    changed = VCON | {"subject": "it's new"}
    await store.put(changed)
    await spaceandtime.save(UUID, server.options)
    assert len(server.rows) == 2
    assert await spaceandtime.get(UUID, server.options) == changed
    assert await spaceandtime.get(other["uuid"], server.options) == other


@pytest.mark.parametrize(
    "text",
    [
        "O'Brien",
        "''",
        "'); DROP TABLE VCONS.CONVERSATIONS; --",
        "\\'; DELETE FROM VCONS.CONVERSATIONS --",
        "\\",
        '\u2019 \ud83d\ude00 "',
        "a\0b",
        "\n;\n",
    ],
)
async def test_texts_that_would_end_a_literal(
    server: SpaceAndTime, store: VconStore, text: str
) -> None:
    """They are stored as they are, in each place that a vCon's text reaches."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16")
    document = VCON | {"subject": text, "parties": [{"name": text}]}
    await store.put(document)
    await spaceandtime.save(UUID, server.options)
    [row] = server.rows
    assert row["SUBJECT"] == text.replace("\0", "\ufffd")
    assert await spaceandtime.get(UUID, server.options) == document
    await store.put(document | {"subject": f"{text}!"})
    await spaceandtime.save(UUID, server.options)
    assert len(server.rows) == 1


async def test_another_process_may_insert_it_first(server: SpaceAndTime) -> None:
    """Then the row is updated."""
    server.before = [f"INSERT INTO {TABLE} (UUID, VCON_JSON) VALUES ('{UUID}', 'old')"]
    await spaceandtime.save(UUID, server.options)
    [row] = server.rows
    assert json.loads(row["VCON_JSON"]) == VCON


async def test_deleting(server: SpaceAndTime) -> None:
    """True once."""
    await spaceandtime.save(UUID, server.options)
    assert await spaceandtime.delete(UUID, server.options) is True
    assert await spaceandtime.delete(UUID, server.options) is False
    assert await spaceandtime.get(UUID, server.options) is None
    assert server.rows == []


@pytest.mark.parametrize("answer", ["503 Retry-After: 0", "429 Retry-After: 0", "cut", "drop"])
async def test_what_may_pass_is_asked_again(server: SpaceAndTime, answer: str) -> None:
    """Also if the answer to the INSERT is lost: the row is there once."""
    server.answers = ["ok", answer]
    await spaceandtime.save(UUID, server.options)
    assert len(server.rows) == 1
    assert await spaceandtime.get(UUID, server.options) == VCON


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_key": "sxt_wrong"}, "answered 401$"),
        ({"biscuit": "wrong"}, "answered 403$"),
        ({"table_name": "VCONS.MISSING"}, "answered 400$"),
    ],
)
async def test_what_is_refused(server: SpaceAndTime, changes: dict[str, Any], words: str) -> None:
    """The error repeats no key, and no statement, which has the conversation in it."""
    with pytest.raises(VendorError, match=words) as failure:
        await spaceandtime.save(UUID, server.options | changes)
    assert not {"sxt_wrong", KEY, UUID} & set(str(failure.value).split())


async def test_a_table_that_takes_inserts_only(server: SpaceAndTime, store: VconStore) -> None:
    """The first save works; an older content is not overwritten, and this is an error."""
    server.permits = {"SELECT", "INSERT"}
    await spaceandtime.save(UUID, server.options)
    await store.put(VCON | {"subject": "new"})
    with pytest.raises(VendorError, match="answered 403"):
        await spaceandtime.save(UUID, server.options)
    assert await spaceandtime.get(UUID, server.options) == VCON


@pytest.mark.parametrize("body", ["", "null", "{}", '"x"', "[1]", '{"error": "no"}'])
async def test_an_answer_of_another_server(server: SpaceAndTime, body: str) -> None:
    """200 of a proxy or a wrong path is neither a saved vCon, nor a deleted one, nor an absence."""
    server.reply_to = lambda _: body.encode()  # type: ignore[method-assign]
    for call in (spaceandtime.save, spaceandtime.get, spaceandtime.delete):
        with pytest.raises(VendorError, match="without rows; check base_url"):
            await call(UUID, server.options)


@pytest.mark.parametrize(("kind", "call"), [("INSERT", "save"), ("DELETE", "delete")])
async def test_a_statement_that_wrote_nothing(server: SpaceAndTime, kind: str, call: str) -> None:
    """The row is read back, and an error raised, unless the answer says that it was written."""
    if call == "delete":
        await spaceandtime.save(UUID, server.options)
    run = server.run
    server.run = lambda text: [] if text.startswith(kind) else run(text)  # type: ignore[method-assign]
    with pytest.raises(VendorError, match=f"has not .* the vCon {UUID}"):
        await getattr(spaceandtime, call)(UUID, server.options)


async def test_an_error_with_a_part_of_a_statement(server: SpaceAndTime) -> None:
    """Its detail is not shown where it may have the conversation in it."""
    told = refuse(400, "Bad SQL", "syntax error near 'a secret of the subject'")

    def refused(request: Request) -> bytes:
        if b"INSERT" in request.body:
            raise told
        return b"[]"

    server.reply_to = refused  # type: ignore[method-assign]
    with pytest.raises(VendorError, match=r"answered 400: Bad SQL$"):
        await spaceandtime.save(UUID, server.options)


async def test_a_vcon_that_is_too_large(server: SpaceAndTime, store: VconStore) -> None:
    """It is not sent."""
    await store.put(VCON | {"subject": "x" * 2000})
    with pytest.raises(ValueError, match="max_vcon_bytes, 1024; a link diet"):
        await spaceandtime.save(UUID, server.options | {"max_vcon_bytes": 1024})
    assert server.got == []


@pytest.mark.parametrize("biscuit", VARIABLES[2:])
async def test_vcon_servers_variables_are_enough(
    server: SpaceAndTime, monkeypatch: pytest.MonkeyPatch, biscuit: str
) -> None:
    """With its spelling of the last one, too."""
    monkeypatch.setenv("SXT_API_KEY", KEY)
    monkeypatch.setenv("SXT_VCON_TABLENAME", TABLE)
    monkeypatch.setenv(biscuit, BISCUIT)
    await spaceandtime.save(UUID, {"name": "spaceandtime", "base_url": server.url})
    assert len(server.rows) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_key": None}, "SXT_API_KEY"),
        ({"table_name": None}, "SXT_VCON_TABLENAME"),
        ({"table_name": "A.B; DROP TABLE A.B"}, "table_name"),
        ({"table_name": "A.B\n"}, "table_name"),
        ({"table_name": "CONVERSATIONS"}, "table_name"),
        ({"base_url": "file:///etc"}, "base_url"),
    ],
)
def test_what_is_told_at_the_start(
    server: SpaceAndTime, changes: dict[str, Any], words: str
) -> None:
    """With the option or the variable; no key is in it."""
    storages = {"it": {"module": "storage.spaceandtime", "options": server.options | changes}}
    chain = {"storages": ["it"], "ingress_lists": ["in"]}
    with pytest.raises(ConfigurationError) as error:
        load(parse({"storages": storages, "chains": {"c": chain}}, {}))
    assert words in str(error.value)
    assert KEY not in str(error.value)
    assert server.got == []
