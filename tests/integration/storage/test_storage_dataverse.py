"""The storage in Dataverse, against the rules of its Web API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from lib.web.http_client import close
from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from storage import dataverse
from tests.canaries import canary
from tests.integration.support.http_stand_in import Request
from tests.integration.support.vendors.dataverse import CLIENT, SECRET, TENANT, DataverseStandIn
from tests.integration.support.vendors.dataverse import dataverse as stand_in
from tests.plugins.scene import TAGGED, canonical, sample_names

VCON = canonical(TAGGED) | {"created_at": "2025-02-28T23:30:00-05:00"}
UUID = VCON["uuid"]
OTHER = "00000000-0000-8000-8000-000000000000"
FAULTS = ("500", "503 Retry-After: 0", "429 Retry-After: 0", "drop", "cut")


@pytest.fixture(params=[False, True], ids=["lookup", "alternate key"])
def either(request: pytest.FixtureRequest) -> Iterator[DataverseStandIn]:
    """A table without an alternate key, and one with it."""
    with stand_in(alternate_key=request.param) as server:
        yield server


@pytest.fixture
def server() -> Iterator[DataverseStandIn]:
    """A table without an alternate key."""
    with stand_in() as server:
        yield server


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def test_a_repeated_save_replaces_the_row(either: DataverseStandIn, store: VconStore) -> None:
    """One row has the columns of the last save, and can be read and deleted."""
    for subject in ("first", "second", None):
        await store.put(VCON | {"subject": subject})
        await dataverse.save(UUID, either.options)
        [row] = either.rows.values()
        assert (row["vcon_uuid"], row["vcon_subject"]) == (UUID, subject)
        assert row["vcon_created_at"] == "2025-03-01T04:30:00Z"
        assert json.loads(row["vcon_data"]) == await store.get(UUID)
    assert await dataverse.get(UUID, either.options) == await store.get(UUID)
    assert [await dataverse.delete(UUID, either.options) for _ in range(2)] == [True, False]
    assert await dataverse.get(UUID, either.options) is None
    assert len(either.tokens) == 1


async def test_a_row_has_the_uuid_as_its_key(server: DataverseStandIn) -> None:
    """So two processes that save the same vCon at once make one row."""
    await asyncio.gather(*(dataverse.save(UUID, server.options) for _ in range(5)))
    assert list(server.rows) == [UUID]


async def test_one_request_with_an_alternate_key(store: VconStore) -> None:
    """For each call; Dataverse knows whether there is a row."""
    with stand_in(alternate_key=True) as server:
        await dataverse.save(UUID, server.options)
        server.methods.clear()
        await dataverse.save(UUID, server.options)
        await dataverse.get(UUID, server.options)
        await dataverse.delete(UUID, server.options)
        assert server.methods == ["PATCH", "GET", "DELETE"]


async def test_rows_of_vcon_server_are_found(server: DataverseStandIn) -> None:
    """It added one with each save: the newest is read, then one is kept."""
    data = [json.dumps(VCON | {"subject": str(number)}) for number in range(3)]
    for text in data:
        last = server.put({"vcon_uuid": UUID, "vcon_data": text})
    other = server.put({"vcon_uuid": OTHER, "vcon_data": "{}"})
    assert await dataverse.get(UUID, server.options) == VCON | {"subject": "2"}
    await dataverse.save(UUID, server.options)
    assert list(server.rows) == [last, other]
    assert await dataverse.get(UUID, server.options) == VCON
    assert await dataverse.delete(UUID, server.options) is True
    assert list(server.rows) == [other]


async def test_rows_of_other_vcons_are_an_error(server: DataverseStandIn) -> None:
    """If a proxy loses the filter: they are neither replaced, nor read, nor deleted."""
    other = {"vcon_uuid": OTHER, "vcon_data": json.dumps(VCON | {"uuid": OTHER})}
    server.put(other)
    reply_to = server.reply_to

    def without_filter(request: Request) -> bytes:
        return reply_to(replace(request, path=request.path.replace(UUID, OTHER)))

    server.reply_to = without_filter  # type: ignore[method-assign]
    for call in (dataverse.save, dataverse.get, dataverse.delete):
        with pytest.raises(VendorError, match="rows of other vCons"):
            await call(UUID, server.options)
    [row] = server.rows.values()
    assert other.items() <= row.items()


@pytest.mark.parametrize("body", ["", "null", "{}", "[]", '{"value": [1]}', "[" * 100_000])
async def test_an_answer_of_another_server(either: DataverseStandIn, body: str) -> None:
    """200 of a proxy or a wrong URL is neither a saved vCon, nor a deleted one, nor an absence."""
    reply_to = either.reply_to

    def reply(request: Request) -> bytes:
        return reply_to(request) if request.path.endswith("/token") else body.encode()

    either.reply_to = reply  # type: ignore[method-assign]
    for call in (dataverse.save, dataverse.get, dataverse.delete):
        with pytest.raises(VendorError):
            await call(UUID, either.options | {"retries": 0})


async def test_every_sample_comes_back(either: DataverseStandIn, store: VconStore) -> None:
    """Equal, each from its own row."""
    for document in map(canonical, sample_names()):
        await store.put(document)
        await dataverse.save(document["uuid"], either.options)
        assert await dataverse.get(document["uuid"], either.options) == document
    assert len(either.rows) == len(sample_names())


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        ({"subject": "x" * 99 + "😀😀"}, "vcon_subject", "x" * 99),
        ({"subject": "x" * 100_000}, "vcon_subject", "x" * 100),
        ({"subject": {"a": "'"}}, "vcon_subject", "{'a': \"'\"}"),
        ({"created_at": "soon"}, "vcon_created_at", None),
        ({"created_at": "0999-01-01T00:00:00Z"}, "vcon_created_at", None),
    ],
)
async def test_values_that_a_column_cannot_have(
    server: DataverseStandIn, store: VconStore, change: dict[str, Any], column: str, value: object
) -> None:
    """They are cut or left out there; the vCon itself is complete."""
    await store.put(VCON | change)
    await dataverse.save(UUID, server.options)
    assert server.rows[UUID][column] == value
    assert await dataverse.get(UUID, server.options) == VCON | change


@pytest.mark.parametrize("text", ["x", "😀", "ü"])
async def test_a_vcon_that_is_too_long(
    server: DataverseStandIn, store: VconStore, text: str
) -> None:
    """It is refused before it is sent; one that fits exactly is taken."""
    units = len(text.encode("utf-16-le")) // 2
    await store.put(VCON | {"note": ""})
    await dataverse.save(UUID, server.options)
    left = 1_048_576 - len(server.rows[UUID]["vcon_data"])
    note = text * (left // units) + "y" * (left % units)
    await store.put(VCON | {"note": note})
    await dataverse.save(UUID, server.options)
    await store.put(VCON | {"note": note + "y"})
    server.methods.clear()
    with pytest.raises(ValueError, match="has 1048577 characters, data_length allows 1048576"):
        await dataverse.save(UUID, server.options)
    assert not server.methods


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_may_pass_is_sent_again(either: DataverseStandIn, fault: str) -> None:
    """Limits of the service, too; also an answer that was lost after the row was written."""
    for call in (dataverse.save, dataverse.get):
        either.answers = ["ok", fault, fault] if call is dataverse.save else [fault]
        await call(UUID, either.options)
    assert either.vcons() == [VCON]


async def test_a_long_pause_is_not_waited_for(server: DataverseStandIn) -> None:
    """Dataverse may ask for minutes: the run is tried again later."""
    await dataverse.save(UUID, server.options)
    server.answers = ["429 Retry-After: 300"]
    with pytest.raises(VendorError, match=r"^Dataverse answered 429$") as caught:
        await dataverse.save(UUID, server.options)
    assert caught.value.peer_failed is True


async def test_a_token_is_kept_until_it_ends(server: DataverseStandIn) -> None:
    """One that is refused before is replaced once, also for many calls at the same time."""
    await dataverse.save(UUID, server.options)
    server.tokens.clear()
    await asyncio.gather(*(dataverse.get(UUID, server.options) for _ in range(5)))
    assert len(server.tokens) == 1
    await close()
    server.seconds = 0
    for _ in range(2):
        await dataverse.get(UUID, server.options)
    assert len(server.tokens) == 3


async def test_an_application_without_a_user(server: DataverseStandIn) -> None:
    """Its new token is refused as well; the error says what to look at."""
    server.answers = ["ok", "401", "ok", "401"]
    with pytest.raises(VendorError, match=rf"401: is the application {CLIENT} a user"):
        await dataverse.save(UUID, server.options)


async def test_a_wrong_secret(server: DataverseStandIn) -> None:
    """An error of the login, without the secret."""
    options = server.options | {"client_secret": canary("not-the-secret-8d00")}
    with pytest.raises(VendorError, match=r"^the login at Microsoft Entra ID answered 401$"):
        await dataverse.save(UUID, options)
    assert len(server.got) == 1


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("entity_name", "vcon_storage", "answered 404: Resource not found"),
        ("uuid_field", "vcon_id", "answered 400: Syntax error"),
        ("data_field", "vcon_json", "answered 400: Invalid property 'vcon_json'"),
    ],
)
async def test_names_that_the_table_does_not_have(
    server: DataverseStandIn, option: str, value: str, text: str
) -> None:
    """Dataverse's word on it is a part of the error."""
    with pytest.raises(VendorError, match=text) as caught:
        await dataverse.save(UUID, server.options | {option: value})
    assert caught.value.peer_failed is False


async def test_secrets_are_in_no_path(server: DataverseStandIn) -> None:
    """Nor in a body other than the login's."""
    await dataverse.save(UUID, server.options)
    for path, _, body in server.got:
        is_login = urlsplit(path).path.startswith(f"/{TENANT}/")
        assert SECRET not in path
        assert (SECRET.encode() in body) == is_login


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "org.crm.dynamics.com"),
        ("url", ""),
        ("entity_name", "vcons)/x("),
        ("uuid_field", "vcon_uuid eq '1' or x"),
        ("uuid_field", "Vcon_UUID"),
        ("data_field", "a" * 129),
        ("tenant_id", "a/b"),
        ("api_version", "9.2/x"),
        ("data_length", 1_048_577),
        ("subject_length", 4001),
    ],
)
def test_wrong_options(name: str, value: object) -> None:
    """Each is named."""
    login = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET}
    options = {"url": "https://org.crm.dynamics.com", **login}
    assert dataverse.Options.of(options).table.endswith("/api/data/v9.2/vcon_storage")
    with pytest.raises(ValueError, match=name):
        dataverse.Options.of(options | {name: value})


def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Microsoft's own variables are enough; options go first; neither is an error."""
    options = {"url": "https://org.crm.dynamics.com"}
    with pytest.raises(ValueError, match="AZURE_CLIENT_SECRET"):
        dataverse.Options.of(options)
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", f"its-{name.lower().replace('_', '-')}")
    found = dataverse.Options.of(options | {"client_id": "mine", "tenant_id": None})
    assert (found.tenant_id, found.client_id) == ("its-tenant-id", "mine")
    assert found.client_secret.get_secret_value() == "its-client-secret"
