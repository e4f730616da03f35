"""`tail`: the last runs, then those that end, each once; also those recorded late."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.operator_cli.commands.tail import COMMANDS
from core.db.runs import RunHistory
from core.errors import InvalidError
from schemas.operator.tail import Tail
from schemas.run import Run

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

NOW = datetime.now(UTC)
HOSTILE = "\x1b[31m[bold]<script>\nsecond line"


@pytest.fixture(autouse=True)
def begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of a test are counted from its own begin."""
    monkeypatch.setattr(f"{__name__}.NOW", datetime.now(UTC))


def ended(operator: OperatorScene, seconds: float, **changes: object) -> str:
    """Record a run that ended so many seconds from now; its vCon."""
    vcon, end = str(uuid4()), NOW + timedelta(seconds=seconds)
    values = {"run_id": str(uuid4()), "chain": "main", "vcon_in": vcon, "vcon_out": vcon}
    run = Run.model_validate({**values, "status": "done", "finished_at": end, **changes})
    RunHistory(operator.database).write_runs([run.model_dump(mode="json")])
    return vcon


async def shown(operator: OperatorScene, line: str) -> list[str]:
    """The vCons of a command that ends."""
    ran = await operator.cli(f"{line} --once --json")
    assert (ran.code, ran.err) == (0, "")
    return [json.loads(each)["vcon"] for each in ran.out.splitlines()]


async def page(operator: OperatorScene, **arguments: object) -> Tail:
    """One answer of the operation."""
    found = await operator.perform("tail", **arguments)
    assert isinstance(found, Tail)
    return found


async def test_the_example_shows_the_last_ones(operator: OperatorScene) -> None:
    """One line for each run, in the order of their ends; line breaks in texts are escaped."""
    vcons = [ended(operator, second - 60) for second in range(11)]
    steps = [{"name": "x", "kind": "link", "outcome": "failed", "seconds": 1.25}]
    failed = {"status": "failed", "error": HOSTILE, "attempts": 3, "steps": steps}
    vcons.append(ended(operator, 0, **failed))
    ran = await operator.cli(COMMANDS[0].example)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line.split()[3] for line in lines] == vcons[-10:]
    assert lines[-1].split()[2:] == (
        rf"main {vcons[-1]} failed 1.2 s attempt 3 \x1b[31m[bold]<script>\nsecond line".split()
    )
    assert lines[-1].startswith(f"{NOW:%Y-%m-%d %H:%M:%S}  ")
    one = json.loads((await operator.cli("tail --limit 1 --once --json")).out)
    assert (one["error"], one["seconds"], one["attempts"]) == (HOSTILE, 1.25, 3)


async def test_conditions(operator: OperatorScene) -> None:
    """A chain, failures (of storages, too), and a time, from which on all are shown."""
    old, other = ended(operator, -7200), ended(operator, -30, chain="other")
    failed, partial = (
        ended(operator, second, status=status)
        for second, status in ((-20, "failed"), (-10, "partial"))
    )
    assert await shown(operator, "tail") == [old, other, failed, partial]
    assert await shown(operator, "tail --chain main") == [old, failed, partial]
    assert await shown(operator, "tail --failed") == [failed, partial]
    assert await shown(operator, "tail --since 1h") == [other, failed, partial]


async def test_pages_from_a_time_on(operator: OperatorScene) -> None:
    """Runs of one moment are neither repeated nor left out; the last answer overlaps."""
    for second in (-30, -30, -30, 3600, 3600):  # the clock of a worker may be ahead
        ended(operator, second)
    first = await page(operator, since=NOW - timedelta(hours=1), limit=2)
    second = await page(operator, after=first.cursor, limit=2)
    third = await page(operator, after=second.cursor, limit=2)
    assert (first.more, second.more, third.more) == (True, True, False)
    runs = [each.run for each in (*first.runs, *second.runs, *third.runs)]
    assert len(set(runs)) == len(runs) == 5
    late = ended(operator, (datetime.now(UTC) - NOW).total_seconds())
    assert late in [each.vcon for each in (await page(operator, after=third.cursor)).runs]


@pytest.mark.parametrize("form", ["", " --json"])
async def test_it_follows_until_interrupted(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A run recorded after one that ended later is shown; no run is shown twice."""
    monkeypatch.setattr("app.operator_cli.run.WATCH_SECONDS", 0)
    before = ended(operator, -8)
    vcons = [ended(operator, -7), ended(operator, -1)]
    command, out = asyncio.create_task(operator.cli(f"tail --limit 2{form}")), ""
    for second in (0, -5, 1):
        while vcons[-1] not in out:
            await asyncio.sleep(0)
            out += operator.capture.readouterr().out
        vcons.append(ended(operator, second))
    while vcons[-1] not in out:
        await asyncio.sleep(0)
        out += operator.capture.readouterr().out
    command.cancel()
    assert (await command).code == 130
    assert [out.count(vcon) for vcon in vcons] == [1] * 5
    assert before not in out


@pytest.mark.parametrize(
    "arguments",
    [
        {"after": "x"},
        {"after": "2026-11-30~x"},
        {"chain": "\ud800"},
        {"limit": 501},
        {"limit": 0},
        {"other": 1},
    ],
)
async def test_arguments_that_are_refused(
    operator: OperatorScene, arguments: dict[str, object]
) -> None:
    """The problem has the argument's name."""
    [name] = [each if each != "after" else "cursor" for each in arguments]
    with pytest.raises(InvalidError, match=f"^{name}: "):
        await page(operator, **arguments)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
async def test_times_at_the_end_of_the_calendar(operator: OperatorScene, since: str) -> None:
    """They are times like others."""
    vcon = ended(operator, -30)
    found = await page(operator, since=since)
    assert [each.vcon for each in found.runs] == ([vcon] if since < "1" else [])
    assert (await page(operator, since=since, after=found.cursor)).runs == found.runs
