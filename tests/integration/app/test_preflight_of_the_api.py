"""`check` where the HTTP API is served: its port, its tokens, and what makes them weak."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app.preflight import check_up
from tests.canaries import canary

TOKEN = canary("token-of-the-check-55e0")
CONFIG = "chains: {main: {ingress_lists: [in], egress_lists: [out]}}\n"
PLUGBOARD = {"WEBSOCKET_URL": "ws://127.0.0.1:1/websocket", "TOKEN": "t"}
OPEN = "note: API_OPEN: each client that reaches the HTTP API may read, write and delete vCons"
CORS = "note: API_CORS_ORIGINS is *: pages of any site that have a token may call the HTTP API"


@pytest.fixture(autouse=True)
def api_alone(
    redis_url: str,
    database_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An environment of `entrypoint.py api` in which all is well, without a Plugboard."""
    (config := tmp_path / "config.yml").write_text(CONFIG)
    settings = {
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(config),
        "CONSERVER_API_TOKEN": TOKEN,
        "API_HOST": "127.0.0.1",
        "API_PORT": "0",
    }
    for name in PLUGBOARD:
        monkeypatch.delenv(name, raising=False)
    for name, value in (settings | database_environment).items():
        monkeypatch.setenv(name, value)


async def checked() -> dict[str, tuple[str, list[str]]]:
    """Outcome and detail by check."""
    return {each.check: (each.outcome, [*each.detail]) for each in await check_up()}


async def test_without_a_plugboard_the_rest_is_checked() -> None:
    """Nothing is published, so neither actions nor the Plugboard count."""
    found = await checked()
    names = ["settings", "api", "configuration", "plugins", "redis", "postgres"]
    assert {name: found[name][0] for name in found} == dict.fromkeys(names, "ok")
    assert found["api"][1] == ["port 0 is free; tokens: 1", CORS]


async def test_a_service_that_serves_it_is_checked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Plugboard, too, which is away here; without a port the tokens are checked alone."""
    for name, value in PLUGBOARD.items():
        monkeypatch.setenv(name, value)
    found = await checked()
    assert (found["api"][0], found["actions"][0]) == ("ok", "ok")
    assert found["plugboard"][0] == "failed"
    monkeypatch.delenv("API_PORT")
    assert (await checked())["api"] == ("ok", ["tokens: 1", CORS])
    monkeypatch.delenv("CONSERVER_API_TOKEN")
    assert "api" not in await checked()


async def test_settings_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is what the API needs."""
    monkeypatch.delenv("REDIS_URL")
    found = await checked()
    assert found["settings"] == ("failed", ["REDIS_URL: must be set"])
    assert set(found) == {"settings", "postgres"}


@pytest.mark.parametrize(
    ("settings", "outcome", "detail"),
    [
        ({"CONSERVER_API_TOKEN": ""}, "failed", "CONSERVER_API_TOKEN: must be set, or "),
        ({"CONSERVER_API_TOKEN_FILE": "/nowhere"}, "failed", "CONSERVER_API_TOKEN_FILE: /nowhere"),
        ({"CONSERVER_API_TOKEN": "", "API_OPEN": "true"}, "ok", OPEN),
        ({"CONSERVER_API_TOKEN": "", "API_OPEN": "true"}, "ok", "note: the console is off: set "),
        ({"CONSOLE_PASSWORD_FILE": "/nowhere"}, "failed", "CONSOLE_PASSWORD_FILE: /nowhere"),
        (
            {"CONSOLE_PASSWORD": "tooshort-for"},
            "ok",
            "note: passwords of the console with fewer than 16 characters: 1",
        ),
        ({"API_OPEN": "true"}, "ok", "note: API_OPEN has no effect, since there is a token"),
        (
            {"CONSERVER_API_TOKEN": "tooshort"},
            "ok",
            "note: tokens with fewer than 16 characters, which can be guessed: 1",
        ),
    ],
)
async def test_what_is_wrong_or_weak_is_one_line(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], outcome: str, detail: str
) -> None:
    """A weakness fails nothing; no line repeats a token."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = await checked()
    assert found["api"][0] == outcome
    assert [line for line in found["api"][1] if line.startswith(detail)]
    assert TOKEN not in str(found)
    assert "tooshort" not in str(found)


async def test_origins_that_are_named_need_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does an API that browsers cannot use."""
    monkeypatch.setenv("API_CORS_ORIGINS", "https://portal.example.com")
    assert (await checked())["api"][1] == ["port 0 is free; tokens: 1"]


async def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start refuses it, so the check does."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("API_PORT", str(port))
        outcome, [line] = (await checked())["api"]
    assert outcome == "failed"
    assert line.startswith(f"API_PORT: cannot listen on {port}")
