"""What all of the operator's commands have: JSON, errors that say what to do, exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.command_line import read
from app.operator_cli.table import COMMANDS
from core.db.usage_and_audit import PartnerRecords
from core.errors import InvalidError, UnknownNameError
from schemas.ingress_key import Author
from schemas.operator.audit import AuditPage
from schemas.operator.pauses import Pauses

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

HOSTILE = "\x1b[31m[bold]<script>"


def put(operator: OperatorScene, target: str) -> None:
    """One audit event."""
    ledger = PartnerRecords(operator.database).ledger
    ledger.audit("Test", Author(actor="someone"), target, {"reason": "a test"})


async def test_tables_and_json_show_the_same(operator: OperatorScene) -> None:
    """Control characters and markup of a value are shown as text."""
    put(operator, HOSTILE)
    shown, data = await operator.cli("audit"), await operator.cli("audit --json")
    assert (shown.code, data.code, shown.err, data.err) == (0, 0, "", "")
    assert data.json["events"][0]["target"] == HOSTILE
    assert "\x1b" not in shown.out
    assert "\\x1b[31m[bold]<script>" in shown.out


async def test_a_server_that_is_away_is_exit_3(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is on standard error, with --json also as JSON."""
    monkeypatch.setenv("POSTGRES_PORT", "1")
    ran = await operator.cli("audit --json")
    assert (ran.code, ran.json["kind"]) == (3, "unavailable")
    assert ran.err.startswith("error: ")


SECRET = "s3cret-pass-phrase"


async def test_a_redis_that_is_away_is_told_with_its_address(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without user and password, and with what to do; as `check` does."""
    monkeypatch.setenv("REDIS_URL", f"redis://user:{SECRET}@127.0.0.1:1/0")
    ran = await operator.cli("running")
    assert (ran.code, ran.out) == (3, "")
    told = "error: REDIS_URL, 127.0.0.1:1: Redis cannot be reached: ConnectionError; check REDIS_"
    assert ran.err.startswith(told)


async def test_a_password_that_redis_refuses_is_told(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """The password is in no line."""
    monkeypatch.setenv("REDIS_URL", redis_url.replace("redis://", f"redis://user:{SECRET}@"))
    ran = await operator.cli("running --json")
    assert (ran.code, ran.json["kind"]) == (3, "unavailable")
    assert "AuthenticationError; wrong or missing password in REDIS_URL" in ran.json["error"]
    assert SECRET not in ran.out + ran.err


async def test_settings_that_are_missing_are_exit_2(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are named."""
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.delenv("CONSERVER_CONFIG_FILE")
    ran = await operator.cli("audit")
    assert (ran.code, ran.out) == (2, "")
    assert "REDIS_URL: must be set" in ran.err
    assert "CONSERVER_CONFIG_FILE: must be set" in ran.err


async def test_a_configuration_that_cannot_be_read_is_exit_2(operator: OperatorScene) -> None:
    """The file and its problem are named."""
    operator.config.write_text("chains: [")
    ran = await operator.cli("audit")
    assert ran.code == 2
    assert str(operator.config) in ran.err


async def test_each_command_that_changes_something_takes_a_reason(operator: OperatorScene) -> None:
    """The operation refuses a change without one, so the command line must have `--reason`."""
    async with operator.api() as api:
        changes = {name for name, known in api.operations.items() if known.changes}
    assert {each.operation for each in COMMANDS if each.changes} == changes & {
        each.operation for each in COMMANDS
    }


async def test_a_recovery_is_asked_for_on_the_command_line(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reason; `--dry-run` takes none, since it changes nothing."""
    monkeypatch.setenv("CUSTODY", "postgres")
    counted = await operator.cli("recover --dry-run --json")
    done = await operator.cli("recover --yes --reason 'Redis was moved' --json")
    assert (counted.code, done.code, done.err) == (0, 0, "")
    assert (counted.json["dry_run"], done.json["dry_run"]) == (True, False)
    page = await operator.perform("audit")
    assert isinstance(page, AuditPage)
    assert page.events[0].detail["reason"] == "Redis was moved"


async def test_operations_check_their_arguments(operator: OperatorScene) -> None:
    """Each problem has the name of its argument."""
    with pytest.raises(InvalidError) as refused:
        await operator.perform("audit", limit=0, other=1)
    assert {each.partition(":")[0] for each in refused.value.problems} == {"limit", "other"}
    with pytest.raises(UnknownNameError, match=r"Unknown operation: nothing; known: audit"):
        await operator.perform("nothing")


@pytest.mark.parametrize("answers", [[], ["it is late"]])
async def test_the_end_of_the_input_confirms_nothing(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    """Ctrl-D at the question for the reason, or at the confirmation."""
    left = iter(answers)

    def entered(_question: str) -> str:
        for answer in left:
            return answer
        raise EOFError

    monkeypatch.setattr("builtins.input", entered)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    ran = await operator.cli("pause main")
    assert (ran.code, "not confirmed: nothing was changed" in ran.err) == (5, True)


async def test_a_reason_that_postgres_cannot_store(operator: OperatorScene) -> None:
    """Bytes that are no UTF-8 reach a program as unpaired surrogates."""
    await operator.perform("pause", reason="why\udcff\0", chain="main")
    page = await operator.perform("audit")
    pauses = await operator.perform("pauses")
    assert isinstance(page, AuditPage)
    assert isinstance(pauses, Pauses)
    [paused] = pauses.paused
    assert page.events[0].detail["reason"] == paused.reason == "why\ufffd\ufffd"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_help_has_an_example(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    """The words of the example are the command's own, and can be read."""
    with pytest.raises(SystemExit) as ended:
        read([*command.words, "--help"])  # type: ignore[attr-defined]
    assert ended.value.code == 0
    example = command.example  # type: ignore[attr-defined]
    assert f"python entrypoint.py {example}" in capsys.readouterr().out
    assert example.startswith(command.name)  # type: ignore[attr-defined]
