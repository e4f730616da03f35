"""`docs/http-api.md`: every example is sent to a real server; its table is that of the routes."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
from redis import Redis

from devstack.pages.http_api_page import PAGE, page
from devstack.service import ServiceProcess
from flowlang.connections.tls import web_trust
from http_api.description.answer_table import EXAMPLE
from tests.integration.http_api.http_scene import Served
from tests.integration.http_api.page_examples import (
    BASE,
    Answer,
    answer_of,
    as_curl_sends,
    blocks,
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


type Sender = Callable[[str, Path], Awaitable[Answer]]


async def send(command: str, folder: Path) -> Answer:
    """Send what a command would send."""
    async with httpx.AsyncClient(verify=web_trust()) as client:
        answer = await client.send(as_curl_sends(command, folder))
    return Answer(answer.status_code, dict(answer.headers), answer.text)


async def check_every_command(url: str, redis_url: str, folder: Path, send: Sender) -> None:
    """From first to last on one server, as a reader would try them."""
    with Redis.from_url(redis_url) as client:
        client.rpush("out", EXAMPLE["uuid"])  # as a worker does at the end of a run
    commands = [each for each in EXAMPLES if each.program.language == "sh"]
    for program, answer in commands:
        assert answer.language == "http", program.text
        compare(await send(program.text.replace(BASE, url), folder), answer_of(answer.text))


async def test_every_command_is_answered_as_shown(
    served: Served, redis_url: str, tmp_path: Path
) -> None:
    """Each is parsed, and sent as curl would send it."""
    await check_every_command(served.url, redis_url, tmp_path, send)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing; its commands are sent above")
async def test_curl_is_answered_as_shown_by_the_process_of_the_page(
    config: Path, redis_url: str, database_environment: dict[str, str], tmp_path: Path
) -> None:
    """The page's command starts the process, and its commands are run."""
    variable, _, *arguments = next(each.text for each in blocks() if each.name == "serve").split()
    environment = {
        **database_environment,
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(config),
        **dict([variable.split("=")]),
    }
    assert arguments.pop(0) == "entrypoint.py"
    process = ServiceProcess(tmp_path, environment, arguments=arguments)
    try:
        await asyncio.to_thread(process.wait_until_ready)
        await check_every_command(
            process.api_url, redis_url, tmp_path, partial(asyncio.to_thread, run_curl)
        )
    finally:
        await asyncio.to_thread(process.stop)


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
