"""`backup` and `restore` as an operator runs them."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline.config.law import LawKey
from pipeline.law.writing.statements import ERASURE_STATEMENT, signed
from tests.emptying import empty
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.law_keys import ec_key, private_pem

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene


@pytest.fixture
def another(
    postgres_server: Any, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Makes the commands use an empty database."""

    def switch() -> str:
        (tmp_path / "none").touch()  # Alembic reads the file of settings
        for name, value in postgres_server.environment(empty_database).items():
            monkeypatch.setenv(name, value)
        return str(postgres_server.url(empty_database))

    return switch


def names_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def put(operator: OperatorScene) -> None:
    """A vCon in a list, as adapters put it there."""
    operator.redis.json().set("vcon:a", ".", {"uuid": "a"})
    operator.redis.rpush("in", "a")


async def test_back_up_check_and_restore(
    operator: OperatorScene, another: Any, tmp_path: Path
) -> None:
    """The dry run says what would be done; the restore does it, and is in the audit."""
    put(operator)
    ran = await operator.cli(f"backup {tmp_path}/monday")
    assert (ran.code, "1 vCons" in ran.out) == (0, True), ran.err
    assert stat.S_IMODE((tmp_path / "monday").stat().st_mode) == 0o600
    assert (await operator.cli("audit")).out.count(f"{tmp_path}/monday") == 1
    empty(operator.redis)
    url = another()
    checked = await operator.cli(f"restore {tmp_path}/monday --dry-run")
    assert checked.code == 0, checked.err
    assert "nothing was written" in checked.out
    assert operator.redis.keys("[iv]*") == []
    refused = await operator.cli(f"restore {tmp_path}/monday --yes")
    assert (refused.code, "reason: say why" in refused.err) == (4, True)
    ran = await operator.cli(f"restore {tmp_path}/monday --yes --reason drill --json")
    assert (ran.code, ran.json["dry_run"]) == (0, False)
    assert operator.redis.lrange("in", 0, -1) == ["a"]
    with psycopg.connect(url) as connection:
        events = connection.execute("SELECT action, detail->>'reason' FROM audit_events").fetchall()
    assert events == [("restore", "drill")]


async def test_through_a_pipe(
    operator: OperatorScene, another: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` is standard output and input; what is said goes to standard error."""
    put(operator)
    out = io.TextIOWrapper(io.BytesIO())
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        ran = await operator.cli("backup -")
    assert ran.code == 0, ran.err
    data = out.buffer.getvalue()  # type: ignore[attr-defined]
    assert data.startswith(b"patchcord backup 1\n")
    empty(operator.redis)
    another()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    ran = await operator.cli("restore - --yes --reason drill")
    assert ran.code == 0, ran.err
    assert operator.redis.lrange("in", 0, -1) == ["a"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("backup -  --json", "standard output takes the backup"),
        ("backup FOLDER", "exists: a backup replaces no file"),
        ("backup FOLDER/none/file", "cannot be written: No such file"),
        ("restore FOLDER/none --dry-run", "cannot be read: No such file"),
        ("restore FOLDER --dry-run", "cannot be read: Is a directory"),
        ("restore FOLDER/config.yml --dry-run", "this is no backup"),
    ],
)
async def test_files_that_cannot_be_used(
    operator: OperatorScene, tmp_path: Path, line: str, error: str
) -> None:
    """With the name, and nothing is left behind."""
    before = names_in(tmp_path)
    ran = await operator.cli(line.replace("FOLDER", str(tmp_path)))
    assert (ran.code, error in ran.err) == (4, True), ran.err
    assert names_in(tmp_path) == before


async def test_a_backup_that_fails_leaves_no_file(
    operator: OperatorScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither under its name nor under another."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    before = names_in(tmp_path)
    assert (await operator.cli(f"backup {tmp_path}/monday")).code == 3
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("is_statement", [True, False], ids=["statement", "uuid"])
async def test_what_was_erased_since_a_backup_does_not_come_back_with_it(
    operator: OperatorScene, another: Any, tmp_path: Path, is_statement: bool
) -> None:
    """With the statements of erasures since: before a service could claim it."""
    erased, other = new_uuid(), new_uuid()
    for each in (erased, other):
        operator.redis.json().set(f"vcon:{each}", ".", {"uuid": each})
        operator.redis.rpush("in", each)
        operator.redis.sadd(f"pc:holds:{each}", "in")
    assert (await operator.cli(f"backup {tmp_path}/monday")).code == 0
    key = LawKey("one", private_pem(ec_key()))
    line = signed({"vcons": [erased]}, ERASURE_STATEMENT, key) if is_statement else erased
    (tmp_path / "erased").write_text(f"\n{line}\n{line}\n")
    (tmp_path / "wrong").write_text(f"{erased}\n{erased}x\n")
    empty(operator.redis)
    url, reason = another(), "--yes --reason 'a new data centre'"
    wrong = await operator.cli(f"restore {tmp_path}/monday --erased {tmp_path}/wrong {reason}")
    assert (wrong.code, "line 2: expected a uuid or a statement" in wrong.err) == (4, True)
    ran = await operator.cli(f"restore {tmp_path}/monday --erased {tmp_path}/erased {reason}")
    assert (ran.code, "erase 1 vCons again" in ran.out) == (0, True), ran.err
    assert operator.redis.exists(f"vcon:{erased}", f"vcon:{other}") == 1
    assert operator.redis.lrange("in", 0, -1) == [other]
    assert operator.redis.exists(f"pc:tombstone:{erased}") == 1
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT vcon_uuid::text FROM law_tombstones").fetchall()
    assert rows == [(erased,)]
