"""`docs/logs.md` lists what the code logs, and the reader of the code misses no call."""

import ast
import re
from dataclasses import replace

import pytest

from devstack.pages import log_calls, logs_page
from devstack.pages.log_calls import LogCall, UnreadableCallError, parsed
from devstack.pages.logs_page import MissingAdviceError, key_of, lines_of, page
from tests.unit.support.logged import logged
from tests.unit.support.source_files import SERVICE, service

ROW = re.compile(r"^\| (`` .*? ``|`[^`]+`)[^|]*\|", re.MULTILINE)


def listed() -> list[LogCall]:
    """The calls of the page."""
    return [call for call in logged() if call.is_at_least("WARNING")]


def read(text: str) -> LogCall:
    """The only log call of a file with this text."""
    (call,) = log_calls.log_calls([parsed("core/example.py", text)])
    return call


def test_the_page_is_current() -> None:
    """The page is what `python -m devstack.pages.logs_page` would write now."""
    assert logs_page.PAGE.read_text(encoding="utf-8") == page(logged())


def test_every_line_stands_on_the_page_and_no_other() -> None:
    """The messages of the page's rows are those of the code's calls at WARNING and above."""
    rows = ROW.findall(logs_page.PAGE.read_text(encoding="utf-8"))
    told = sorted(row.strip("`").strip() for row in rows)
    assert told == sorted(line.message for line in lines_of(listed()))
    assert {call.message for call in listed()} == set(told)


def test_every_reference_to_a_logger_is_read() -> None:
    """As many calls are read as `log.warning` and the like stand in the service's files."""
    assert log_calls.ROOMS == SERVICE
    nodes = [node for source in service() for node in source.nodes]
    found = [node for node in nodes if log_calls.log_method(node) is not None]
    assert len(found) == len(logged())
    text = re.compile(r"\b(?:log|logger|logging)\.(?:warning|error|exception|critical|log)\b")
    assert sum(len(text.findall(source.text)) for source in service()) == sum(
        1 for call in found if ast.unparse(call).rsplit(".", 1)[1] not in ("debug", "info")
    )


@pytest.mark.parametrize(
    ("text", "levels", "fields"),
    [
        ('log.error("it broke")', ("ERROR",), ()),
        ('log.warning("it broke", extra={"run": 1, **{"vcon": 2}})', ("WARNING",), ("run", "vcon")),
        ('context.run(logger.warning, "it broke", extra={"run": 1})', ("WARNING",), ("run",)),
        (
            "def tell():\n about = {'run': 1}\n about['link'] = 2\n about |= {'chain': 3}\n"
            " log.exception('it broke', extra=about)",
            ("ERROR",),
            ("run", "chain", "link"),
        ),
        (
            "def fields():\n return {'run': 1}\ndef tell(bad):\n"
            " log.log(logging.ERROR if bad else logging.INFO, 'it broke', extra=fields())",
            ("INFO", "ERROR"),
            ("run",),
        ),
        (
            "LEVELS = {'a': logging.DEBUG, 'b': logging.WARNING}\ndef tell(end, plugin: Plugin):\n"
            " if log.isEnabledFor(level := LEVELS[end]):\n"
            "  log.log(level, 'it broke', extra=dict(plugin))",
            ("DEBUG", "WARNING"),
            ("link", "storage", "tracer"),
        ),
    ],
)
def test_levels_and_fields_are_followed(
    text: str, levels: tuple[str, ...], fields: tuple[str, ...]
) -> None:
    """Through variables, functions and tables."""
    call = read(text)
    assert (call.message, call.levels, call.fields) == ("it broke", levels, fields)


@pytest.mark.parametrize(
    "text", ['log.error("it broke", extra=told)', "def tell(level):\n log.log(level, 'it broke')"]
)
def test_what_cannot_be_read_is_an_error_with_its_place(text: str) -> None:
    """Nothing is left out in silence."""
    with pytest.raises(UnreadableCallError, match=r"core/example\.py:\d+"):
        read(text)


def test_a_new_line_without_a_text_is_named_with_its_file() -> None:
    """So is a text whose line has gone."""
    call = replace(listed()[0], message="something new", path="core/new.py", line=7)
    with pytest.raises(MissingAdviceError, match=r"'something new', written at core/new\.py:7"):
        page([*logged(), call])
    gone = [call for call in logged() if key_of(call) != key_of(listed()[0])]
    with pytest.raises(MissingAdviceError, match="no line of the code has the message"):
        page(gone)
