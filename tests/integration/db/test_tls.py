"""TLS to databases: certificates are checked, wrong ones and servers without TLS are refused."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from core.db.database import Database
from core.errors import UnavailableError
from core.settings import DatabaseSettings
from devstack.machine import CHECKOUT
from devstack.servers.folders import temporary_folder
from devstack.servers.mariadb import MariaDB
from devstack.servers.pgbouncer import PgBouncer, installed
from devstack.servers.ports import HOST
from devstack.servers.postgres import Postgres
from devstack.servers.valkey import Valkey
from flowlang.connections import plugin_registry
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.pools import RedisAccess
from pipeline.redis_client.errors import with_remedy
from storage import postgres
from storage.postgres.pools import rows
from tests.integration.flowlang.flowlang_fixtures import mysql_config
from tests.integration.support.flowlang_databases import KINDS, NAME, Opened, manager
from tests.integration.support.missing import missing
from tests.integration.support.mongo_stand_in import mongo_server
from tests.integration.support.tls_fixtures import Certificates, tls_before
from tests.plugins.scene import Later

mongo = Later("storage.mongo")
REFUSED = r"(?i)certificate verify failed"


@pytest.fixture(scope="module")
def guarded(postgres_server: Postgres, certificates: Certificates) -> Iterator[PgBouncer]:
    """Postgres behind TLS; it is the pooler that insists on it."""
    programs = installed()
    if programs is None:
        missing("there is no PgBouncer here; `python -m devstack.servers.pgbouncer` says why")
    with temporary_folder() as folder:
        pem = certificates.pem.read_bytes()
        running = PgBouncer.start(programs, folder / "tls", postgres_server, certificate=pem)
        yield running
        running.stop()


@pytest.fixture
def variables(guarded: PgBouncer, database_name: str, certificates: Certificates) -> dict[str, str]:
    """What the service is told of that database."""
    return guarded.server.environment(database_name) | {
        "ENVIRONMENT": "test",
        "POSTGRES_PORT": str(guarded.port),
        "POSTGRES_SSLMODE": "verify-full",
        "POSTGRES_SSLROOTCERT": str(certificates.trusted),
    }


def problem(variables: dict[str, str], **changes: str) -> str | None:
    """What the service finds wrong with its database."""
    values = {name.lower(): value for name, value in (variables | changes).items()}
    database = Database()
    database.initialize(DatabaseSettings(**values))  # type: ignore[arg-type]
    try:
        return database.schema_problem()
    except Exception as error:
        return str(error)
    finally:
        database.close()


def test_the_services_own_database(variables: dict[str, str], certificates: Certificates) -> None:
    """It is reached with the right certificate, and with no other nor without TLS."""
    assert problem(variables) is None
    wrong = problem(variables, POSTGRES_SSLROOTCERT=str(certificates.untrusted))
    assert "certificate verify failed" in str(wrong)
    assert "SSL required" in str(problem(variables, POSTGRES_SSLMODE="disable"))


async def test_alembic(variables: dict[str, str], certificates: Certificates) -> None:
    """The command line goes by the same settings."""

    async def code(trusted: object) -> int:
        environment = variables | {"PATH": os.defpath, "POSTGRES_SSLROOTCERT": str(trusted)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alembic", "upgrade", "head"), env=environment, cwd=CHECKOUT
        )
        return await process.wait()

    codes = await asyncio.gather(code(certificates.trusted), code(certificates.untrusted))
    assert codes == [0, 255]


async def test_the_storage(
    guarded: PgBouncer, database_name: str, certificates: Certificates
) -> None:
    """`sslmode` and `sslrootcert` of `storage.postgres`."""
    given = {"host": guarded.host, "port": guarded.port, "user": guarded.server.user}
    given |= {"database": database_name, "sslmode": "verify-full"}

    async def asked(trusted: object) -> list[tuple[Any, ...]]:
        options = postgres.Options.of(given | {"sslrootcert": str(trusted)})
        return await rows(options, b"SELECT 1", {})

    try:
        assert await asked(certificates.trusted) == [(1,)]
        with pytest.raises(psycopg.OperationalError, match=REFUSED):
            await asked(certificates.untrusted)
    finally:
        await postgres.close()


async def answer(config: dict[str, Any], query: str) -> Any:
    """The first row of a connection with this configuration."""
    async with manager(config) as connections:
        return (await Opened(KINDS[config["type"]], connections, config).rows(query))[0]


async def test_connections_of_postgres(
    guarded: PgBouncer, database_name: str, certificates: Certificates
) -> None:
    """The fields outdo the URL."""
    url = f"{guarded.url(database_name)}?sslmode=disable"
    config = {"type": "postgres", "url": url, "sslmode": "verify-full"}
    trusted = {"sslrootcert": str(certificates.trusted)}
    assert await answer(config | trusted, "SELECT 1 AS n") == {"n": 1}
    with pytest.raises(Exception, match=REFUSED):
        await answer(config | {"sslrootcert": str(certificates.untrusted)}, "SELECT 1")


async def test_connections_of_mysql(mariadb_server: MariaDB, certificates: Certificates) -> None:
    """The connection is encrypted, once the server's certificate is known or not asked for."""
    config, cipher = mysql_config(mariadb_server), "SHOW STATUS LIKE 'Ssl_cipher'"
    assert (await answer(config, cipher))["Value"] == ""
    for tls in ({"tls_ca_file": str(certificates.trusted)}, {"tls_verify": False}):
        assert (await answer(config | {"tls": True} | tls, cipher))["Value"]
    with pytest.raises(Exception, match=REFUSED):
        await answer(config | {"tls": True, "tls_ca_file": str(certificates.untrusted)}, cipher)


@pytest.fixture
async def redis_port(valkey_server: Valkey, certificates: Certificates) -> AsyncIterator[int]:
    """The port of a Redis behind TLS."""
    async with tls_before(HOST, valkey_server.port, certificates) as port:
        yield port


async def test_connections_of_redis(redis_port: int, certificates: Certificates) -> None:
    """`rediss://`, with the server's certificate known or not asked for."""

    async def asked(**tls: Any) -> Any:
        config = {"type": "redis", "url": f"rediss://{HOST}:{redis_port}", **tls}
        async with manager(config) as connections:
            plugin = await connections.get_plugin(NAME)
            async with connections.lent(NAME) as lent:
                return await plugin.get_builtin_tasks()["redis_get"](key="none", connection=lent)

    for tls in ({"tls_ca_file": str(certificates.trusted)}, {"tls_verify": False}):
        assert (await asked(**tls))["exists"] is False
    with pytest.raises(Exception, match=REFUSED):
        await asked(tls_ca_file=str(certificates.untrusted))


async def test_the_services_own_redis(redis_port: int, certificates: Certificates) -> None:
    """REDIS_URL names the certificates to trust, for the event loop and for threads."""
    url = f"rediss://{HOST}:{redis_port}?ssl_ca_certs="
    redis = RedisConnection(f"{url}{certificates.trusted}")
    assert await redis.command("PING") == "PONG"
    assert await asyncio.to_thread(redis.command_from_thread, "PING") == "PONG"
    await redis.close()
    access = RedisAccess(ca_file=str(certificates.trusted))
    redis = RedisConnection(f"rediss://{HOST}:{redis_port}", access=access)
    assert await redis.command("PING") == "PONG"
    await redis.close()
    redis = RedisConnection(f"{url}{certificates.untrusted}")
    assert not await redis.reachable()
    with pytest.raises(UnavailableError) as raised:
        await redis.command("PING")
    assert str(with_remedy(raised.value, url)) == (
        f"REDIS_URL, {HOST}:{redis_port}: Redis cannot be reached: its certificate is not trusted "
        "(unable to get local issuer certificate); name the authority's certificate in "
        "REDIS_CA_FILE"
    )
    await redis.close()


def test_certificates_without_tls_are_told() -> None:
    """A field that would have no effect is an error, and says what is missing."""
    for kind, given, remedy in (
        ("redis", {"url": "redis://a"}, "begin the url with rediss://"),
        ("mysql", dict.fromkeys(("host", "user", "password", "database"), "x"), "set tls: true"),
    ):
        plugin = plugin_registry.get(kind)
        assert plugin is not None
        fine, told = plugin.validate_config({**given, "tls_ca_file": "ca.pem"})
        assert (fine, told) == (False, f"tls_ca_file is given without TLS: {remedy}")


@pytest.fixture
async def mongo_url(certificates: Certificates) -> AsyncIterator[str]:
    """A MongoDB behind TLS."""
    async with mongo_server() as url, tls_before(HOST, urlsplit(url).port, certificates) as port:
        yield f"mongodb://{HOST}:{port}/?serverSelectionTimeoutMS=1000"
        await mongo.close()


async def test_connections_of_mongodb(mongo_url: str, certificates: Certificates) -> None:
    """By fields of their own, with the server's certificate known or not asked for."""

    async def asked(**tls: Any) -> Any:
        given = {"url": mongo_url, "database": "test", "tls": True, **tls}
        config = {"type": "mongodb", "server_selection_timeout_ms": 1000, **given}
        async with manager(config) as connections:
            plugin = await connections.get_plugin(NAME)
            async with connections.lent(NAME) as lent:
                count = plugin.get_builtin_tasks()["mongo_count"]
                return await count(collection="none", connection=lent)

    for tls in ({"tls_ca_file": str(certificates.trusted)}, {"tls_verify": False}):
        assert await asked(**tls) == {"count": 0}
    with pytest.raises(Exception, match=REFUSED):
        await asked(tls_ca_file=str(certificates.untrusted))


async def test_the_storage_in_mongodb(mongo_url: str, certificates: Certificates) -> None:
    """`tls`, `tls_ca_file` and `tls_verify` of `storage.mongo`."""
    uuid, given = "00000000-0000-8000-8000-000000000000", {"url": mongo_url, "timeout": 1}
    for tls in ({"tls_ca_file": str(certificates.trusted)}, {"tls_verify": False}):
        assert await mongo.get(uuid, {**given, "tls": True, **tls}) is None
    with pytest.raises(Exception, match=REFUSED):
        await mongo.get(uuid, {**given, "tls": True, "tls_ca_file": str(certificates.untrusted)})
