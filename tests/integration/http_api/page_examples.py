"""The examples of docs/http-api.md, and requests as `curl`, Python and Node make them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.unit.support.source_files import ROOT

PAGE = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
BASE = "http://localhost:8000"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VALUE_OF = {"-X": "method", "-H": "header", "-d": "data", "--data-binary": "data"}


class Block(NamedTuple):
    """A fenced block: its language, the name after it, and its text."""

    language: str
    name: str
    text: str


class Answer(NamedTuple):
    """An answer to compare with: status, the headers that are shown, body."""

    status: int
    headers: dict[str, str]
    body: str


class Example(NamedTuple):
    """A program of the page, and what follows it as its answer or output."""

    program: Block
    answer: Block


def blocks(page: str = PAGE) -> list[Block]:
    """All fenced blocks of a page."""
    return [Block(*groups) for groups in _BLOCK.findall(page)]


def files() -> dict[str, str]:
    """The files that the page shows."""
    return {each.name: each.text for each in blocks() if "." in each.name}


def examples() -> Iterator[Example]:
    """Each program with the block after it."""
    found = blocks()
    for program, answer in zip(found, [*found[1:], Block("", "", "")], strict=True):
        if program.language in ("sh", "python", "js") and program.name != "serve":
            yield Example(program, answer)


def answer_of(text: str) -> Answer:
    """An answer as the page shows it; `@vcon.json` in it is that file of the page."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.strip().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    for name, text_of_file in files().items():
        body = body.replace(f"@{name}", text_of_file)
    return Answer(int(first.split()[1]), headers, body.strip())


def as_curl_sends(command: str, folder: Path) -> httpx.Request:
    """The request of a `curl` command.

    Raises:
        ValueError: it has an option that is not known here.
    """
    found: dict[str, list[str]] = {"method": [], "header": [], "data": [], "url": []}
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    for word in words:
        if word in _VALUE_OF:
            found[_VALUE_OF[word]].append(next(words))
        elif not word.startswith("-"):
            found["url"].append(word)
        elif word != "-i":
            raise ValueError(f"unknown option of curl: {word}")
    headers = dict(each.split(": ", 1) for each in found["header"])
    content = "&".join(_data(each, folder) for each in found["data"]) if found["data"] else None
    if content is not None:
        headers = {"content-type": "application/x-www-form-urlencoded"} | {
            name.lower(): value for name, value in headers.items()
        }
    method = found["method"][0] if found["method"] else "POST" if content else "GET"
    (url,) = found["url"]
    return httpx.Request(method, url, headers=headers, content=content)


def _data(given: str, folder: Path) -> str:
    """What `-d` sends: a file without its line breaks, or the text."""
    if not given.startswith("@"):
        return given
    return (folder / given[1:]).read_text().replace("\r", "").replace("\n", "")


def run_curl(command: str, folder: Path) -> Answer:
    """Run the command itself, and read its answer."""
    shown = command.replace("curl ", "curl -sS -i ", 1)
    done = subprocess.run(
        ["bash", "-c", shown], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def run_python(text: str, folder: Path) -> str:
    """Run a program of Python and return what it prints."""
    return _run([sys.executable, "-c", text], folder)


def run_node(text: str, folder: Path) -> str | None:
    """Run a program of Node and return what it prints; None where there is no Node."""
    node = shutil.which("node")
    return _run([node, "--input-type=module", "-e", text], folder) if node else None


def _run(command: list[str], folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
