"""What the entrypoint can be told to do, and what it shows of the actions."""

import json

import pytest

from app.cli import carry_out
from app.command_line import read
from app.preflight import Finding, all_well, as_table

SETTINGS = {
    "WEBSOCKET_URL": "ws://plugboard/websocket",
    "TOKEN": "s3cret-token",
    "POSTGRES_HOST": "h",
    "POSTGRES_PORT": "1",
    "POSTGRES_USER": "u",
    "POSTGRES_PASSWORD": "p",
    "POSTGRES_DB_DEVELOPMENT": "d",
    "POSTGRES_DB_TEST": "t",
    "POSTGRES_DB_PRODUCTION": "p",
    "CONSERVER_CONFIG_FILE": "/nowhere/config.yml",
    "REDIS_URL": "redis://nowhere",
    "ACTIONS": "GetRun,ListChains",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that offers two actions."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def test_without_a_command_it_serves() -> None:
    """`python entrypoint.py` is what it always was."""
    assert read([]).name == read(["serve"]).name == "serve"


def test_a_worker_has_an_id() -> None:
    """The supervisor names each."""
    assert (read(["worker", "host-1"]).name, read(["worker", "host-1"]).worker_id) == (
        "worker",
        "host-1",
    )


@pytest.mark.parametrize(
    "wrong",
    [["sevre"], ["worker"], ["check", "--fingerprint"], ["check", "--keys", "-1"]],
)
def test_what_is_no_command_ends_with_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped command must not start a service."""
    with pytest.raises(SystemExit) as ended:
        read(wrong)
    assert ended.value.code == 2
    assert "usage: entrypoint.py" in capsys.readouterr().err


async def shown(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit code and output of `actions`."""
    code = await carry_out(read(["actions", *options]))
    return code, capsys.readouterr().out


async def test_the_published_json_and_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    """What the Plugboard is told, and in a last line how long the request line becomes."""
    code, text = await shown(capsys)
    published, _, summary = text.rpartition("\n\n")
    assert (code, set(json.loads(published))) == (0, {"GetRun", "ListChains"})
    assert summary.startswith("2 actions, fingerprint ")
    assert summary.endswith(" of 9998 bytes\n")
    assert "s3cret-token" not in text


async def test_the_fingerprint_changes_with_the_actions(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve digits and nothing else; the order of ACTIONS does not matter."""
    _, first = await shown(capsys, "--fingerprint")
    monkeypatch.setenv("ACTIONS", "ListChains,GetRun")
    assert await shown(capsys, "--fingerprint") == (0, first)
    monkeypatch.setenv("ACTIONS", "GetRun")
    _, other = await shown(capsys, "--fingerprint")
    assert len(first.strip()) == len(other.strip()) == 12
    assert first != other


async def test_actions_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json one object says it all, or only the fingerprint."""
    _, text = await shown(capsys, "--json")
    told = json.loads(text)
    assert set(told["actions"]) == {"GetRun", "ListChains"}
    assert told["fits"] is True
    assert told["request_line_bytes"] < told["request_line_limit"] == 9998
    _, text = await shown(capsys, "--json", "--fingerprint")
    assert json.loads(text) == {"fingerprint": told["fingerprint"]}


async def test_actions_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are shown all the same, and the exit code is 1."""
    monkeypatch.setenv("ACTIONS", "")
    monkeypatch.setenv("REQUEST_LINE_LIMIT", "1000")
    code, text = await shown(capsys)
    assert (code, text.endswith(" of 1000 bytes\n")) == (1, True)


async def test_actions_without_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is told as at the start."""
    monkeypatch.delenv("TOKEN")
    assert await carry_out(read(["actions"])) == 2
    assert capsys.readouterr().err == "Cannot start:\n  TOKEN: must be set\n"


def test_a_table_is_aligned() -> None:
    """Each further problem has a line of its own under the first, and no line breaks."""
    findings = [
        Finding("settings", "failed", 0.01, ["first", "second\nline"]),
        Finding("redis", "skipped", 0.0, ["needs the settings"]),
    ]
    assert as_table(findings, str.upper) == (
        "check     outcome  seconds  detail\n"
        "settings  failed   0.01     FIRST\n"
        "                            SECOND LINE\n"
        "redis     skipped           NEEDS THE SETTINGS\n"
    )
    assert not all_well(findings)
