"""`check`: what is wrong is one clear line, which names the place and the remedy and no secret."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from app.cli import carry_out
from app.command_line import read
from app.preflight import all_well, check_up
from devstack.servers.postgres import Postgres
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.integration.support.plugboard_scene import Scene, plugboard

CONFIGURATION = """
links:
  tag:
    module: links.tag
    options: {tags: [checked]}
chains:
  main:
    links: [tag]
    ingress_lists: [in]
"""
NOWHERE = "127.0.0.1:1"
SECRET = "s3cret-pass-phrase"


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A Plugboard with a service and a token."""
    async with plugboard() as scene:
        yield scene


@pytest.fixture(autouse=True)
def configured(
    scene: Scene,
    redis_url: str,
    database_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An environment in which all is well; the configuration's file."""
    path = tmp_path / "config.yml"
    path.write_text(CONFIGURATION)
    settings = {
        "WEBSOCKET_URL": scene.board.websocket_url,
        "TOKEN": scene.token.value,
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(path),
    }
    monkeypatch.setattr("app.cli.configure_logging", lambda *_: None)  # it is the suite's
    for name, value in (settings | database_environment).items():
        monkeypatch.setenv(name, value)
    return path


async def rewrite(path: Path, text: str) -> None:
    """Give the configuration another text."""
    await asyncio.to_thread(path.write_text, text)


async def failures() -> dict[str, list[str]]:
    """The lines of each check that is not well."""
    well = ("ok", "warn")
    return {each.check: list(each.detail) for each in await check_up() if each.outcome not in well}


async def test_when_all_is_well(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the result of each check, the exit code is 0, and no consumer has joined."""
    assert await carry_out(read(["check"])) == 0
    table = capsys.readouterr().out
    names = ["settings", "actions", "configuration", "plugins", "redis", "postgres", "plugboard"]
    heading, *rows = table.splitlines()
    assert heading.split() == ["check", "outcome", "seconds", "detail"]
    assert [row.split()[:2] for row in rows] == [[name, "ok"] for name in names]
    assert all(re.fullmatch(r"\d+\.\d\d", row.split()[2]) for row in rows)
    assert "imported: links 1, storages 0, tracers 0" in table
    assert "not joined" in rows[-1]
    assert scene.board.consumers == []
    assert scene.token.value not in table


async def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the same is an object."""
    assert await carry_out(read(["check", "--json"])) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert {each["outcome"] for each in told["checks"]} == {"ok"}


async def test_settings_that_are_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has a line, the exit code is 1, and what needs the settings is skipped."""
    monkeypatch.setenv("MAX_QUEUE", "many")
    monkeypatch.delenv("TOKEN")
    assert await carry_out(read(["check"])) == 1
    _, first, second, *others = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["settings", "failed"]
    assert first.endswith("  TOKEN: must be set")
    assert second.strip().startswith("MAX_QUEUE: Input should be a valid integer")
    assert [row.split()[1] for row in others] == ["skipped"] * 3


async def test_an_action_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing can be published, so the Plugboard is not tried with less."""
    monkeypatch.setenv("ACTIONS", "GetRun,GetRum")
    found = await failures()
    [line] = found["actions"]
    assert line.startswith("ACTIONS: no action named GetRum; there are: ")
    assert set(found) == {"actions", "plugboard"}


async def test_a_file_that_is_missing(configured: Path) -> None:
    """The line names the file."""
    await asyncio.to_thread(configured.unlink)
    found = await failures()
    assert set(found) == {"configuration", "plugins"}
    [line] = found["configuration"]
    assert str(configured) in line


async def test_a_file_that_is_no_yaml(configured: Path) -> None:
    """The line names the file and where in it the mistake is."""
    await rewrite(configured, "chains: [main\nlinks: {")
    [line] = (await failures())["configuration"]
    assert line.startswith(f"{configured}:2:6: is not valid YAML")


async def test_a_field_that_is_wrong(configured: Path) -> None:
    """The line names the field."""
    await asyncio.to_thread(
        configured.write_text, CONFIGURATION.replace("links: [tag]", "links: 7")
    )
    found = await failures()
    assert found["configuration"] == [f"{configured}: chains.main.links: must be a list"]
    assert found["plugins"] == ["needs the configuration"]


async def test_a_plugin_that_cannot_be_imported(configured: Path) -> None:
    """The file is well, the plugin is not."""
    await asyncio.to_thread(
        configured.write_text, CONFIGURATION.replace("links.tag", "links.no_such_link")
    )
    found = await failures()
    assert set(found) == {"plugins"}
    assert any("links.no_such_link" in line for line in found["plugins"])


async def test_a_list_is_another_programs_key(client: Redis) -> None:
    """Every such key is named, with what to do; also one that only stands beside a list."""
    client.set("in", "another program's")
    client.set("pc:dead:DLQ:run:main", "another program's")
    lines = (await failures())["redis"]
    assert [line.split(": ")[1].partition(";")[0] for line in lines] == [
        "in is no list but a string",
        "pc:dead:DLQ:run:main is no hash but a string",
    ]


async def test_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the address without the password."""
    monkeypatch.setenv("REDIS_URL", f"redis://user:{SECRET}@{NOWHERE}/0")
    found = await failures()
    assert found == {
        "redis": [
            f"REDIS_URL, {NOWHERE}: Redis cannot be reached: ConnectionError; check REDIS_URL: "
            "does Redis run there, and does it let this host in?"
        ]
    }


async def test_redis_refuses_the_password(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """It says so, and the password is in no line."""
    monkeypatch.setenv("REDIS_URL", redis_url.replace("redis://", f"redis://user:{SECRET}@"))
    [line] = (await failures())["redis"]
    assert line.endswith("AuthenticationError; wrong or missing password in REDIS_URL")
    assert SECRET not in line


async def test_postgres_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names database, address and user, and what libpq says."""
    monkeypatch.setenv("POSTGRES_PORT", "1")
    [line] = (await failures())["postgres"]
    assert re.match(r"POSTGRES_\*, \w+ on \S+:1 as \w+: Postgres: ", line)
    assert "refused" in line


async def test_a_database_that_is_not_migrated(
    monkeypatch: pytest.MonkeyPatch, empty_database: str, postgres_server: Postgres
) -> None:
    """That is well if the start migrates it, else the line says how."""
    for name, value in postgres_server.environment(empty_database).items():
        monkeypatch.setenv(name, value)
    [postgres] = [each for each in await check_up() if each.check == "postgres"]
    assert (postgres.outcome, "the start brings it to" in postgres.detail[0]) == ("ok", True)
    monkeypatch.setenv("MIGRATE_ON_START", "false")
    [line] = (await failures())["postgres"]
    assert "at revision none, not " in line
    assert "run `alembic upgrade head`" in line


async def test_a_table_that_is_missing(database_url: str) -> None:
    """The revision is the newest, and the line names the table all the same."""
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE vcon_owners")
    [line] = (await failures())["postgres"]
    assert "missing tables: vcon_owners" in line


async def test_ids_that_no_chain_reads(client: Redis) -> None:
    """A note, with the list and how many there are; it keeps nothing from starting."""
    client.rpush("left", new_uuid(), new_uuid())
    [redis] = [each for each in await check_up() if each.check == "redis"]
    assert redis.outcome == "ok"
    assert redis.detail[1:] == ["note: 2 ids are left in left, a list of no chain"]


async def test_the_plugboard_is_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the server, without the token."""
    monkeypatch.setenv("WEBSOCKET_URL", f"ws://{NOWHERE}/websocket")
    assert (await failures())["plugboard"] == [
        f"WEBSOCKET_URL, {NOWHERE}: no connection to the Plugboard: Connection refused; "
        "is WEBSOCKET_URL right?"
    ]


async def test_a_token_that_is_wrong(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 403 has several causes: all are named, with what to do."""
    monkeypatch.setenv("TOKEN", "wrong-token")
    [line] = (await failures())["plugboard"]
    assert line == (
        f"127.0.0.1:{scene.board.port}: the Plugboard refused the connection (403): the token is "
        "wrong, deleted or expired, or consumers that offer other actions are joined; look at "
        "TOKEN, and compare `actions --fingerprint` with theirs"
    )


async def test_others_with_other_actions(scene: Scene) -> None:
    """The second cause of a 403, which only time or ACTIONS can cure."""
    await scene.join(actions='{"Other": {}}')
    [line] = (await failures())["plugboard"]
    assert "consumers that offer other actions are joined" in line


async def test_a_request_line_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found without the Plugboard."""
    monkeypatch.setenv("REQUEST_LINE_LIMIT", "1000")
    [line] = (await failures())["actions"]
    assert "but the Plugboard reads 1000; set ACTIONS" in line


async def test_notes_are_shown(configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment, the file and the options; they keep nothing from starting."""
    text = CONFIGURATION.replace("{tags: [checked]}", "{tags: [checked], colour: red}")
    await rewrite(configured, text + "worker: 3\n")
    monkeypatch.setenv("CONSERVER_WORKER", "4")
    found = {each.check: [*each.detail[1:]] for each in await check_up()}
    assert found["settings"] == [
        "note: CONSERVER_WORKER is not a setting; did you mean CONSERVER_WORKERS?"
    ]
    assert found["configuration"] == ["note: worker: not a known key, ignored"]
    assert found["plugins"] == ["note: links.tag.options.colour: not a known option, ignored"]
    assert await failures() == {}
    monkeypatch.setenv("CONFIG_STRICT", "true")
    assert set(await failures()) == {"configuration", "plugins"}


async def test_a_chain_that_is_disabled_as_it_is_broken(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start goes on without it, so the check does; it names what is missing, once."""
    more = "  absent: {links: [nowhere], ingress_lists: [a]}\n"
    more += "  ill: {links: [gone], ingress_lists: [b]}\n"
    links = "links:\n  gone: {module: links.no_such_link}\n"
    await rewrite(configured, CONFIGURATION.replace("links:\n", links, 1) + more)
    monkeypatch.setenv("CONFIG_ON_BROKEN", "disable")
    findings = await check_up()
    outcomes = {each.check: each.outcome for each in findings}
    assert (outcomes["configuration"], outcomes["plugins"]) == ("warn", "warn")
    assert all_well(findings)
    found = {each.check: list(each.detail) for each in findings}
    assert found["configuration"][0].endswith(
        "enabled chains, before their plugins are loaded: main, ill"
    )
    assert found["plugins"][0].endswith("; chains that run: main")
    assert found["configuration"][1].startswith(
        "chains.absent is disabled, as it is broken: chains.absent.links[0]: no link named"
    )
    assert found["plugins"][1].startswith(
        "chains.ill is disabled, as it is broken: links.gone: no module named 'links.no_such_link'"
    )
    assert await failures() == {}
    monkeypatch.setenv("CONFIG_ON_BROKEN", "refuse")
    assert set(await failures()) == {"configuration", "plugins"}


async def test_a_health_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start refuses it, so the check does."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("HEALTH_HOST", "127.0.0.1")
        monkeypatch.setenv("HEALTH_PORT", str(port))
        found = await failures()
    assert found == {"health": [f"HEALTH_PORT: cannot listen on {port}: Address already in use"]}
    assert await failures() == {}


async def test_connections_that_the_start_refuses(configured: Path) -> None:
    """They are looked at by the function that the start calls."""
    await rewrite(configured, CONFIGURATION + "connections: {crm: {type: no-such-type}}\n")
    [line] = (await failures())["plugins"]
    assert line.startswith("connections.crm.type: no plugin is called 'no-such-type'")


async def test_a_module_that_takes_longer_than_a_server_may(
    configured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start waits for imports and installations, so the check does."""
    monkeypatch.setattr("app.preflight.SECONDS", 0.2)
    monkeypatch.syspath_prepend(tmp_path)
    source = "import time\ntime.sleep(0.4)\ndef run(vcon_uuid, link_name, opts):\n    pass\n"
    await asyncio.to_thread((tmp_path / "slow_to_import.py").write_text, source)
    await rewrite(configured, CONFIGURATION.replace("links.tag", "slow_to_import"))
    assert "plugins" not in await failures()
