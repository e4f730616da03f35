"""`docs/http-api.md`: every example is sent to a real server; its table is that of the routes."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from devstack.pages.http_api_page import PAGE, page
from http_api.answer_table import EXAMPLE
from tests.integration.http_api.http_scene import Served
from tests.integration.http_api.page_examples import (
    BASE,
    Answer,
    answer_of,
    as_curl_sends,
    examples,
    files,
    run_curl,
    run_node,
    run_python,
)

EXAMPLES = list(examples())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of the page, and its other files beside it."""
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    return tmp_path / "config.yml"


def compare(found: Answer, expected: Answer) -> None:
    """The same status and body, and the headers that the page shows."""
    assert found.status == expected.status, found
    assert {name: found.headers[name] for name in expected.headers} == expected.headers
    if expected.body.startswith(("{", "[")):
        assert json.loads(found.body) == json.loads(expected.body)
    else:
        assert found.body.strip() == expected.body


async def send(command: str, folder: Path) -> Answer:
    """Send what a command would send."""
    async with httpx.AsyncClient() as client:
        answer = await client.send(as_curl_sends(command, folder))
    return Answer(answer.status_code, dict(answer.headers), answer.text)


@pytest.mark.parametrize("by", ["as curl sends", "curl"])
async def test_every_example_is_answered_as_shown(served: Served, tmp_path: Path, by: str) -> None:
    """From first to last on one server, as a reader would try them."""
    if by == "curl" and shutil.which("curl") is None:
        pytest.skip("curl is not installed; the same commands are parsed and sent")
    served.client.rpush("out", EXAMPLE["uuid"])  # as a worker does at the end of a run
    for example in EXAMPLES:
        text = example.program.text.replace(BASE, served.url)
        if example.program.language != "sh":
            continue
        assert example.answer.language == "http", text
        expected = answer_of(example.answer.text)
        if by == "curl":
            compare(await asyncio.to_thread(run_curl, text, tmp_path), expected)
        else:
            compare(await send(text, tmp_path), expected)


@pytest.mark.parametrize(("language", "run"), [("python", run_python), ("js", run_node)])
async def test_every_program_prints_what_is_shown(
    served: Served, tmp_path: Path, language: str, run: Callable[[str, Path], str | None]
) -> None:
    """In Python and Node; where there is no Node this is skipped."""
    programs = [each for each in EXAMPLES if each.program.language == language]
    assert programs
    for example in programs:
        text = example.program.text.replace(BASE, served.url)
        printed = await asyncio.to_thread(run, text, tmp_path)
        if printed is None:
            pytest.skip("node is not installed")
        assert printed == example.answer.text


def test_the_table_is_current() -> None:
    """It is what `python -m devstack.pages.http_api_page` would write now."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text)
