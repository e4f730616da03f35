"""Showing and replacing the configuration over real HTTP."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx
import yaml

from core.db.database import Database
from core.settings import DatabaseSettings
from pipeline.config import writing
from tests.integration.http_api.http_scene import Served, serving

SECRET = "key-of-a-partner-1"


async def shown(http: httpx.AsyncClient) -> dict[str, Any]:
    """The configuration as it is shown."""
    answer = await http.get("/config")
    assert (answer.status_code, SECRET in answer.text) == (200, False)
    found: dict[str, Any] = answer.json()
    return found


async def posted(http: httpx.AsyncClient, config: object, status: int = 204) -> Any:
    """The body of the answer to a configuration."""
    answer = await http.post("/api/config", json=config)
    assert answer.status_code == status, answer.text
    assert status != 204 or answer.content == b""
    return answer.json() if answer.content else None


def content(path: Path) -> bytes:
    """The bytes of the file."""
    return path.read_bytes()


def read(path: Path) -> Any:
    """The file."""
    return yaml.safe_load(path.read_bytes())


def with_mode(path: Path, mode: int) -> None:
    """The file gets this mode."""
    path.chmod(mode)


def behind_a_link(path: Path) -> Path:
    """The file moves, and a link leads to it; where it is now."""
    real = path.rename(path.with_name("real.yml"))
    path.symlink_to(real)
    return real


def is_link(path: Path) -> bool:
    """Whether it is a symbolic link."""
    return path.is_symlink()


def backups(path: Path) -> list[Path]:
    """The backups of the file, newest first."""
    return writing.ConfigFile(path).backups()


async def test_what_is_shown_can_be_posted(
    http: httpx.AsyncClient, config: Path, served: Served
) -> None:
    """One member is edited; secrets keep their values, and the change comes into force."""
    before = content(config)
    with_mode(config, 0o640)
    found = await shown(http)
    assert found["chains"]["main"]["egress_lists"] == ["out"]
    found["chains"]["main"]["egress_lists"].append("further")
    await posted(http, found)
    after = read(config)
    assert after["ingress_auth"] == {"in": SECRET}
    assert after["chains"]["main"] == found["chains"]["main"]
    assert [path.read_bytes() for path in backups(config)] == [before]
    assert {path.stat().st_mode & 0o777 for path in [config, *backups(config)]} == {0o640}
    assert (await shown(http))["chains"] == found["chains"]
    assert (await http.get("/vcon/count?egress_list=further")).status_code == 200
    event = await served.audited("ReplaceConfiguration")
    assert (event.action, event.target) == ("ReplaceConfiguration", "file:config.yml")
    assert event.detail["chains"] == ["main"]


async def test_the_first_configuration_comes_back_with_its_secrets(
    http: httpx.AsyncClient, config: Path
) -> None:
    """As a test tool does: it posts one of its own, and at the end the one that it got."""
    first = await shown(http)
    whole = read(config)
    await posted(http, {"chains": {"other": {"ingress_lists": ["other"]}}})
    assert read(config) == {"chains": {"other": {"ingress_lists": ["other"]}}}
    assert await shown(http) == read(config)
    await posted(http, first)
    assert await shown(http) == first
    assert read(config) == whole


async def test_all_problems_in_one_answer(http: httpx.AsyncClient, config: Path) -> None:
    """In Pydantic's form; nothing is changed."""
    before = content(config)
    for wrong in (
        {"chains": {"main": {"links": ["nowhere"], "timeout": -1, "storages": ["nowhere"]}}},
        {"links": {"a": {}}, "storages": {"b": {}}, "chains": {"c": {"links": "x"}}},
    ):
        details = (await posted(http, wrong, 422))["detail"]
        assert len(details) >= 3
        assert all(each["loc"][0] == "body" and each["msg"] for each in details)
        assert content(config) == before
        assert sorted(path.name for path in config.parent.glob("*onfig*")) == ["config.yml"]


async def test_a_plugin_that_cannot_be_loaded(http: httpx.AsyncClient, config: Path) -> None:
    """Checked as at a start: its module is imported, and is no link."""
    before = content(config)
    wrong = {"links": {"a": {"module": "json"}}, "chains": {"c": {"links": ["a"]}}}
    text = str(await posted(http, wrong, 422))
    assert "has no run(" in text
    assert ".draft" not in text
    assert content(config) == before


async def test_what_is_no_object(http: httpx.AsyncClient, config: Path) -> None:
    """422 in Pydantic's form."""
    before = content(config)
    for body in (b"", b"{", b"[]", b'"x"', b"null", b"7"):
        answer = await http.post("/config", content=body)
        assert (answer.status_code, answer.json()["detail"][0]["loc"][0]) == (422, "body")
    assert content(config) == before


async def test_too_deep_and_too_large(http: httpx.AsyncClient, config: Path) -> None:
    """Bounded, and nothing is changed."""
    before = content(config)
    deep = b'{"x-deep":' + b"[" * 900 + b"]" * 900 + b"}"
    assert (await http.post("/config", content=deep)).status_code == 422
    large = b'{"x-large":"' + b"x" * (1024 * 1024) + b'"}'
    assert (await http.post("/config", content=large)).status_code == 413
    assert content(config) == before


async def test_a_mask_without_a_value(http: httpx.AsyncClient, config: Path) -> None:
    """It is not written into the file."""
    before = content(config)
    wrong = {"ingress_auth": {"in": "[redacted 000000000000]"}}
    [problem] = (await posted(http, wrong, 422))["detail"]
    assert problem["loc"] == ["body", "ingress_auth", "in"]
    assert content(config) == before


async def test_posts_at_once(http: httpx.AsyncClient, config: Path) -> None:
    """One after the other: the file is the whole of one of them, and each left a backup."""
    posts = [{"chains": {f"c{n}": {"ingress_lists": [f"l{n}"]}}} for n in range(5)]
    before = read(config)
    await asyncio.gather(*(posted(http, post) for post in posts))
    found = [read(config), *map(read, backups(config))]
    assert len(found) == 6
    assert all(each in found for each in [before, *posts])


async def test_another_process_is_replacing_it(http: httpx.AsyncClient, config: Path) -> None:
    """503 with a time to wait."""
    with writing.ConfigFile(config).locked():
        answer = await http.post("/config", json={"chains": {}})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


async def test_the_number_of_backups_is_bounded(
    http: httpx.AsyncClient, config: Path, monkeypatch: Any
) -> None:
    """The oldest ones go."""
    monkeypatch.setattr(writing, "MOST_BACKUPS", 2)
    for number in range(4):
        await posted(http, {"chains": {f"c{number}": {"ingress_lists": ["in"]}}})
    assert [list(read(path)["chains"]) for path in backups(config)] == [["c2"], ["c1"]]


async def test_a_file_that_cannot_be_written(
    http: httpx.AsyncClient, config: Path, monkeypatch: Any
) -> None:
    """A clear text; the file is what it was, and no draft is left."""
    before = content(config)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    places = ((Path, "replace"), (writing.tempfile, "mkstemp"), (writing.os, "fsync"))
    for where, name in places:
        with monkeypatch.context() as patched:
            patched.setattr(where, name, refuse)
            answer = await posted(http, {"chains": {"c": {"ingress_lists": ["in"]}}}, 503)
        text = f"{config} cannot be replaced (Read-only file system); it is unchanged"
        assert answer["detail"] == text
        assert content(config) == before
        assert list(config.parent.glob(".config*")) == []


async def test_a_file_protected_against_writing(
    http: httpx.AsyncClient, config: Path, monkeypatch: Any
) -> None:
    """A rename could replace it all the same; `access` says what a user without rights gets."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    answer = await posted(http, {"chains": {"c": {"ingress_lists": ["in"]}}}, 503)
    assert "Permission denied" in answer["detail"]


async def test_a_link_to_the_file_stays(http: httpx.AsyncClient, config: Path) -> None:
    """The file that it leads to is replaced."""
    real = behind_a_link(config)
    await posted(http, {"chains": {"c": {"ingress_lists": ["in"]}}})
    assert [is_link(config), *read(real)["chains"]] == [True, "c"]


async def test_it_is_off_by_default(
    config: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> None:
    """403 without ADMIN_ACTIONS=true; reading is on, for those with a token."""
    async with serving(config, redis_url, migrated, database_settings) as served:
        async with served.http() as http:
            answer = await posted(http, {"chains": {}}, 403)
            assert "ADMIN_ACTIONS" in answer["detail"]
            await shown(http)
        async with served.http(token=None) as http:
            assert (await http.get("/config")).status_code == 403
