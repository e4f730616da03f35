"""Commands of the law with values that are none: what was expected is said, with the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.support.operator_scene import OperatorScene, operator

__all__ = ["operator"]

ONE, HASH = "0190163d-8694-739b-aea5-966c26f8ad91", "a" * 64
DO = "--yes --reason x"
GRANT = f"basis record --vcon {ONE} --grant --purpose p {DO}"
CHECKPOINT = "expected the number of an event and its hash, 64 digits of hex, as N:HASH"
WRONG = {
    **{
        f"ledger verify --checkpoint '{value}'": (2, CHECKPOINT)
        for value in (
            *("", ":", "5", "5:", "5:00", f":{HASH}", f"0:{HASH}", f"{'9' * 30}:{HASH}"),
            *(f"5:{'g' * 64}", f"5:{'a' * 63}", f"5:{HASH}:3", f"٣:{HASH}", f"5 :{HASH}"),
        )
    },
    f"ledger verify --checkpoint ' 5:{'A' * 64} '": (1, "the checkpoint at event 5 has no event"),
    "ledger show x": (2, "'x' is no uuid"),
    f"ledger show {ONE}": (4, "Unknown vCon in the ledger"),
    f"ledger show {ONE} --after-event {'9' * 20}": (2, "out of range"),
    "verify FOLDER/none": (2, "cannot be read: No such file or directory"),
    "verify FOLDER": (2, "cannot be read: Is a directory"),
    "verify ''": (2, "expected the name of a file"),
    "verify FOLDER/empty": (2, "is empty"),
    "verify FOLDER/list": (2, "is no vCon in JSON"),
    "verify FOLDER/deep": (2, "is no vCon in JSON"),
    "verify FOLDER/packed": (4, "no gzip file"),
    f"verify --uuid {ONE}": (4, "Unknown vCon"),
    f"{GRANT} --until yesterday": (2, "write for example 2026-11-30T12:00 or 90d (in 90 days)"),
    f"{GRANT} --given soon": (2, "or 1h (an hour ago)"),
    f"{GRANT} --until 9999-12-31T23:59:59-14:00": (4, "expires_at: a time from 1900 on and"),
    f"{GRANT} --given 0001-01-01T00:00+14:00": (4, "granted_at: a time from 1900 on and"),
    f"basis record --tel '!' --deny {DO}": (4, "tel: it has neither digits nor letters"),
    f"basis show --vcon {ONE} --before {'9' * 20}": (2, "out of range"),
    "withheld --cursor 5": (4, "use the cursor of an earlier page as it is"),
    f"release {DO}": (4, "give vcon_uuids (--uuid), list_name (--list), or both"),
    f"release --list other {DO}": (4, "Unknown ingress list: other; known: in"),
    f"erasure show {ONE}": (4, "Unknown erasure"),
}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """With files that hold no vCon."""
    for name, content in {
        "empty": b"",
        "list": b"[]",
        "deep": b'{"a":' * 100_000,
        "packed": b"\x1f\x8bxx",
    }.items():
        (tmp_path / name).write_bytes(content)
    return str(tmp_path)


async def test_what_was_expected_is_said(operator: OperatorScene, folder: str) -> None:
    """In one line after the usage; nothing is recorded."""
    for line, (code, message) in WRONG.items():
        try:
            ran = await operator.cli(line.replace("FOLDER", folder))
            found, told = ran.code, ran.err + ran.out
        except SystemExit as error:
            found, told = error.code, operator.capture.readouterr().err  # type: ignore[assignment]
        assert (found, message in told) == (code, True), f"{line}: {found} {told}"
    with operator.database.session() as session:
        count = session.connection().exec_driver_sql("SELECT count(*) FROM law_bases")
        assert count.scalar_one() == 0
