"""Tables on a narrow terminal: no header, number or other word is broken."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from app.operator_cli.command import Table
from app.operator_cli.drawing import drawn

ID = "0713bbc9-c5a2-495a-9e9b-61c2654244b8"
STATUS = Table(
    "chains",
    ("chain", "in/min", "out/min", "waiting", "oldest", "retry", "in flight", "p50", "failed 1h"),
    [("main", 15_100, 15_000, 1_234_567, ">20m 5s", 12_345, 100, "36 ms", 3_900)] * 2,
)
FAILURES = Table(
    "causes",
    ("cause", "step", "count", "last (UTC)", "error"),
    [("0123456789abcdef", "crm", 20_000, "2026-11-30 03:35:26", "the host refuses it " * 9)],
)
REPLICAS = Table("replicas", ("replica", "workers", "configuration"), [(ID, 12_345_678, ID[:12])])
TABLES = (STATUS, FAILURES, REPLICAS, REPLICAS._replace(rows=[]), STATUS._replace(rows=[]))


def lines(table: Table, width: int) -> list[str]:
    """What a terminal of this width shows."""
    console = Console(width=width, file=io.StringIO(), highlight=False)
    with console.capture() as capture:
        console.print(drawn(table, width))
    return capture.get().split("\n")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("table", TABLES)
def test_no_word_is_broken(table: Table, width: int) -> None:
    """Each word of headers and cells is found whole; no line is wider than the terminal."""
    shown = lines(table, width)
    assert max(len(line) for line in shown) <= width
    words = set(re.split(r"[\s─]+|:(?=\s)", "\n".join(shown)))
    cells = [
        f"{each:,}" if isinstance(each, int) else str(each) for row in table.rows for each in row
    ]
    headers = table.columns if table.rows else ()
    assert not {word for text in (*headers, *cells) for word in text.split()} - words
    assert words <= {word for text in (*table.columns, *cells, "none") for word in text.split()} | {
        ""
    }


def test_a_table_that_does_not_fit_is_blocks() -> None:
    """One for each row, a line for each value; empty values are left out."""
    table = STATUS._replace(rows=[(*STATUS.rows[0][:-1], None)])
    assert [line.rstrip() for line in lines(table, 60)[:4]] == [
        "",
        "  chain:     main",
        "  in/min:    15,100",
        "  out/min:   15,000",
    ]
    assert "failed" not in "\n".join(lines(table, 60))


def test_a_column_without_a_header() -> None:
    """Its value stands alone."""
    table = Table("", ("replica", ""), [(ID, ID + ID)])
    assert not [line for line in lines(table, 60) if line.strip().startswith(":")]


def test_a_text_is_folded_at_words_in_its_column() -> None:
    """The table stays one as long as its words fit."""
    shown = lines(FAILURES, 100)
    assert shown[1].split() == ["cause", "step", "count", "last", "(UTC)", "error"]
    assert len(shown) > len(lines(FAILURES, 400))


def test_a_word_longer_than_the_terminal() -> None:
    """It alone is folded."""
    shown = lines(Table("", ("a", "error"), [(5, "x" * 500)]), 60)
    assert "".join(shown).count("x") == 500
    assert max(len(line) for line in shown) <= 60
