"""`check --vcon-server` on an installation of vcon-server, with keys that it has written itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from app.cli import carry_out
from app.command_line import read
from app.vcon_server.redis_facts import gathered
from pipeline.admin.redis_checks import KEEPS_EVERYTHING
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid
from tests.integration.support.vcon_server import VconServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = """
ingress_auth:
  calls: short-key
links:
  tag: {module: links.tag, options: {tags: [checked]}}
  old: {module: links.of_our_own}
storages:
  files: {module: storage.file, options: {path: /nowhere}}
chains:
  main: {links: [tag], storages: [files], ingress_lists: [calls, chats], egress_lists: [done]}
  idle: {links: [old], ingress_lists: [rest], enabled: 0}
followers:
  other: {url: "http://other.example.com"}
"""
NOWHERE = "redis://user:s3cret-of-redis@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def installation(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The variables and the file of an installation; the file's path."""
    monkeypatch.setattr("app.cli.configure_logging", lambda *_: None)  # it is the suite's
    path = tmp_path / "config.yml"
    path.write_text(CONFIGURATION)
    tokens = tmp_path / "tokens"
    tokens.write_text("token-of-one-program\n\ntoken-of-another\n")
    settings = {
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(path),
        "CONSERVER_API_TOKEN_FILE": str(tokens),
        "VCON_INDEX_EXPIRY": "86400",
        "CONSERVER_START_METHOD": "spawn",
        "VCON_REDIS_EXPIRY": "7200",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return path


@pytest.fixture
def vcon_server(client: Redis) -> Iterator[VconServer]:
    """vcon-server on the test's Redis."""
    return VconServer(client)


@pytest.fixture
def used(client: Redis, vcon_server: VconServer) -> dict[str, str]:
    """Redis as vcon-server and its adapters leave it."""
    for _ in range(3):
        vcon_server.ingest(a_vcon(), ["calls"])
    vcon_server.cache(a_vcon())
    VconServer(client, as_string=True).ingest(a_vcon(), ["chats"])
    vcon_server.bury("calls", vcon_server.ingest(a_vcon()))
    vcon_server.bury("gone", new_uuid())
    vcon_server.bury_storage("files", new_uuid())
    vcon_server.bury_storage("attic", new_uuid())
    client.zadd("vcons", {f"vcon:{new_uuid()}": 1, "nonsense": 2})
    client.rpush("calls", new_uuid(), "no uuid")
    client.rpush("calls,chats", new_uuid())
    client.rpush("stranger", new_uuid())
    client.rpush("jobs", "of another program")
    client.set("done", "of another program")
    client.set("pc:run:1", "{}")
    client.zadd("pc:later", {"calls\n1": 1})
    return dump(client)


def dump(client: Redis) -> dict[str, str]:
    """Every key with its value and whether it expires."""
    return {
        key: repr((client.dump(key) or client.execute_command("JSON.GET", key), client.ttl(key)))
        for key in client.scan_iter()
    }


async def report(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The report as JSON, with its exit code."""
    code = await carry_out(read(["check", "--vcon-server", "--json", *options]))
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told | {"code": code}


def levels(told: dict[str, Any], area: str) -> dict[str, set[str]]:
    """The levels of an area's findings, by subject."""
    found: dict[str, set[str]] = {}
    for each in told["findings"]:
        if each["area"] == area:
            found.setdefault(each["subject"], set()).add(each["level"])
    return found


async def test_what_is_in_redis(
    used: dict[str, str], client: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of key that vcon-server leaves is told, and none is changed."""
    told = await report(capsys)
    before = {key: text.rpartition(",")[0] for key, text in used.items()}
    after = {key: text.rpartition(",")[0] for key, text in dump(client).items()}
    assert after == before
    found = levels(told, "redis")
    kept = {name: found.pop(name) for name in KEEPS_EVERYTHING if name in found}
    assert kept["appendonly"] == {"warn"}  # the suite's server keeps nothing
    assert found == {
        "JSON": {"ok"},
        "vCons": {"ok", "warn"},
        "vcons": {"ok", "note"},
        "search index": {"note"},
        "calls": {"ok", "warn"},
        "chats": {"ok"},
        "calls,chats": {"warn"},
        "stranger": {"warn"},
        "DLQ:calls": {"note"},
        "DLQ:gone": {"warn"},
        "DLQ:storage:files": {"note"},
        "DLQ:storage:attic": {"warn"},
        "done": {"stop"},
        "context:*": {"note"},
        "pc:*": {"warn"},
    }
    assert told["code"] == 1


async def test_what_is_in_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    """Variables, config.yml, plugins and the API; exit code 1, as a key is too short."""
    told = await report(capsys)
    assert levels(told, "settings")["VCON_REDIS_EXPIRY"] == {"warn"}
    assert levels(told, "settings")["VCON_INDEX_EXPIRY"] == {"note"}
    assert levels(told, "configuration") == {
        "ingress_auth.calls": {"stop"},
        "followers.other": {"warn"},
        "chains.idle": {"warn"},
    }
    assert levels(told, "plugins") == {
        "links.tag": {"note"},
        "links.old": {"stop", "note"},
        "storages.files": {"note"},
    }
    assert levels(told, "api")["CONSERVER_API_TOKEN, CONSERVER_API_TOKEN_FILE"] == {"ok"}
    assert told["code"] == 1


async def test_an_installation_that_may_move(
    installation: Path,
    database_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 0 and a text for people; no WEBSOCKET_URL and no TOKEN are needed."""
    for name, value in database_environment.items():
        monkeypatch.setenv(name, value)
    installation.write_text(  # noqa: ASYNC240 -- a few bytes
        "chains: {main: {ingress_lists: [in]}}"
    )
    assert await carry_out(read(["check", "--vcon-server"])) == 0
    text = capsys.readouterr().out
    assert text.startswith("SETTINGS\n")
    assert text.endswith("nothing stops the move\n")
    assert "at revision" in text


async def test_servers_that_are_away(
    monkeypatch: pytest.MonkeyPatch,
    database_environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each is told, without a password, and the rest is worked off."""
    for name, value in (database_environment | {"POSTGRES_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    told = await report(capsys)
    assert levels(told, "redis") == {"REDIS_URL": {"stop"}}
    [database] = levels(told, "postgres").values()
    assert database == {"stop"}
    assert "configuration" in {each["area"] for each in told["findings"]}
    assert "s3cret" not in json.dumps(told)


async def test_a_database_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
    database_environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No start makes it: the remedy does."""
    names = [name for name in database_environment if name.startswith("POSTGRES_DB_")]
    for name, value in (database_environment | dict.fromkeys(names, "not_made_yet")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    [found] = [each for each in (await report(capsys))["findings"] if each["area"] == "postgres"]
    assert (found["level"], found["subject"]) == ("stop", "not_made_yet")
    assert "createdb not_made_yet" in found["remedy"]


@pytest.mark.parametrize("text", ["chains: [", "", "7", "chains: {a: {links: 7}}"])
async def test_a_file_that_is_wrong(
    installation: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one finding, and Redis is looked at all the same."""
    installation.write_text(text)  # noqa: ASYNC240 -- a few bytes
    told = await report(capsys)
    assert {"stop"} in levels(told, "configuration").values()
    assert levels(told, "redis")["JSON"] == {"ok"}


async def test_no_secret_is_told(
    installation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither tokens nor keys nor options, in any form of the report."""
    monkeypatch.setenv("CONSERVER_API_TOKEN", "token-in-the-environment")
    for form in ((), ("--json",)):
        await carry_out(read(["check", "--vcon-server", *form]))
        text = capsys.readouterr().out
        for secret in ("short-key", "token-of-one-program", "token-in-the-environment"):
            assert secret not in text


async def test_redis_is_read_up_to_a_bound(
    used: dict[str, str], redis: RedisConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is left out is told; progress never goes back."""
    steps: list[int] = []
    facts = await gathered(
        redis, ["calls"], "vcons", most=5, progress=lambda seen, _: steps.append(seen)
    )
    assert facts.seen == 5
    assert facts.is_partial
    assert steps == sorted(steps)
    whole = await gathered(redis, ["calls"], "vcons", most=0)
    assert (whole.seen, whole.is_partial) == (len(used), False)
    assert "keys" in levels(await report(capsys, "--keys", "5"), "redis")


async def test_a_user_with_few_rights(client: Redis, redis_url: str) -> None:
    """What Redis refuses is the finding."""
    client.execute_command("ACL", "SETUSER", "viewer", "on", ">viewer", "~*", "+ping")
    redis = RedisConnection(redis_url.replace("redis://", "redis://viewer:viewer@"))
    try:
        facts = await gathered(redis, [], "vcons", most=0)
    finally:
        await redis.close()
        client.execute_command("ACL", "DELUSER", "viewer")
    assert "no permissions" in facts.error


async def test_a_sorted_set_of_another_type(client: Redis, redis: RedisConnection) -> None:
    """It is told with the type that it must have, and not read."""
    client.set("vcons", "of another program")
    facts = await gathered(redis, [], "vcons", most=0)
    assert (facts.error, facts.wrong_types) == ("", {"vcons": ("string", "zset")})


async def test_a_chain_that_would_be_disabled(
    installation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told as the start would, which goes on without it."""
    text = CONFIGURATION.replace("tag: {module: links.tag", "tag: {module: links.no_such_link")
    text = text.replace("calls: short-key", "calls: a-key-that-is-long-enough")
    await asyncio.to_thread(installation.write_text, text)
    monkeypatch.setenv("CONFIG_ON_BROKEN", "disable")
    monkeypatch.setenv("DYNAMIC_INSTALL", "false")
    await carry_out(read(["check", "--vcon-server", "--json"]))
    findings = json.loads(capsys.readouterr().out)["findings"]
    [found] = [each for each in findings if "is disabled, as it is broken" in each["subject"]]
    assert found["subject"].startswith("chains.main")
    assert "no module named 'links.no_such_link'" in found["differs"]
