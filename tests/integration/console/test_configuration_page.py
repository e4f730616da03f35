"""Comparing and trying a pasted configuration on the console."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import yaml

from http_api.console import forms
from http_api.console.console import ENDED
from http_api.console.visit import READ_ONLY
from tests.integration.console.console_scene import READER, Operator, text_of
from tests.integration.console.hostile_results import HostileOperator
from tests.integration.console.test_pages import HOSTILE, TEMPLATED, checked
from tests.integration.http_api.http_scene import Served, Start

RUNNING = """
links:
  tag: {module: links.tag, options: {tags: [a]}}
chains:
  main: {links: [tag], ingress_lists: [calls]}
"""


def new(*tags: str) -> str:
    """Another configuration than the running one."""
    document = yaml.safe_load(RUNNING)
    document["links"]["tag"]["options"]["tags"] = list(tags)
    return yaml.safe_dump(document)


async def test_a_pasted_configuration_is_compared_and_tried(start: Start) -> None:
    """With a click for each, from the same form, which keeps the text."""
    async with start(RUNNING) as served, Operator.of(served) as client:
        await client.sign_in()
        form = (await client.get("/console/configuration")).text
        assert 'formaction="/console/configuration/try"' in form
        compared = await client.submit("/console/configuration", content=new("b"))
        tried = await client.submit("/console/configuration/try", content=new("b"), last="5")
    assert 'options.tags: ["a"] -> ["b"]' in text_of(compared.text)
    assert (compared.status_code, tried.status_code) == (200, 200)
    assert "nothing tried" in text_of(tried.text)
    for page in (compared.text, tried.text):
        checked(page)
        assert "- b" in page


async def test_a_wrong_number_is_told(served: Served, operator: Operator) -> None:
    """The form is there again."""
    answer = await operator.submit("/console/configuration/try", content="x", last="many")
    assert answer.status_code == 400
    assert "last: Input should be a valid integer" in text_of(answer.text)
    checked(answer.text)


async def test_only_operators_compare_and_try(served: Served) -> None:
    """A comparison starts a process, and a trial calls what the file names."""
    async with Operator.of(served) as client:
        await client.sign_in(READER)
        form = (await client.get("/console/configuration")).text
        assert "/console/configuration/try" not in form
        for path in ("/console/configuration", "/console/configuration/try"):
            assert (await client.submit(path, content=RUNNING)).status_code == 403


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_results_are_only_text(served: Served, operator: Operator, text: str) -> None:
    """Names of links, labels of entries and errors come from plugins and partners."""
    real = served.pipeline.service.operator
    served.pipeline.service.operator = HostileOperator(real, text)  # type: ignore[assignment]
    answer = await operator.submit("/console/configuration/try", content="x")
    assert answer.status_code == 200
    checked(answer.text)
    assert "<script>alert" not in answer.text
    assert TEMPLATED not in text_of(answer.text)


async def test_a_form_is_not_read_without_a_session(served: Served) -> None:
    """It may have megabytes; what it has is not looked at."""
    async with Operator.of(served) as client:
        for path in ("/console/configuration", "/console/configuration/try"):
            answer = await client.post(path, content=b"no form", headers={"content-type": "x/y"})
            assert (answer.status_code, ENDED in text_of(answer.text)) == (403, True)
        await client.sign_in(READER)
        answer = await client.post("/console/configuration/try", content=b"no form")
        assert (answer.status_code, READ_ONLY in text_of(answer.text)) == (403, True)


async def test_long_work_is_done_in_threads(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing a large form takes 0.4 s, YAML microseconds for each byte."""
    done = set[tuple[str, bool]]()

    def watched(module: object, name: str, least: int) -> None:
        real = getattr(module, name)

        def work(text: Any, *args: Any, **options: Any) -> Any:
            if least == 0 or len(text) > least:
                done.add((name, threading.current_thread() is threading.main_thread()))
            return real(text, *args, **options)

        monkeypatch.setattr(module, name, work)

    async with start(RUNNING) as served, Operator.of(served) as client:
        await client.sign_in()
        watched(forms, "fields_of", forms.MOST_FORM_BYTES)
        watched(yaml, "safe_load", 0)
        watched(yaml, "safe_dump", 0)
        await client.text("/console/configuration")
        await client.submit("/console/configuration", content="#" * forms.MOST_FORM_BYTES)
    assert done == {("fields_of", False), ("safe_load", False), ("safe_dump", False)}
