"""The pages of the console: there for both roles, with their headers, and every value escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from http_api.console.changes import CHANGES
from http_api.console.pages import PAGES
from http_api.console.visit import Entry
from tests.integration.console.console_scene import READER, Operator, text_of
from tests.integration.console.hostile_results import HostileOperator
from tests.integration.http_api.http_scene import Served
from tests.integration.support.pipeline_fixtures import new_uuid

READABLE = [
    page.path
    for page in PAGES
    if page.method == "GET" and "{" not in page.path and page.entry is not Entry.OPERATOR
]


class Structure(HTMLParser):
    """What of a page its policy or a reader would not take."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.fields: list[str] = []
        self.labels: list[str] = []
        self._element = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._element = tag
        given = {name: value or "" for name, value in attrs}
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self.loaded += [given[name] for name in ("src", "href", "action") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag == "label":
            self.labels.append(given.get("for", ""))

    def handle_endtag(self, tag: str) -> None:
        self._element = ""

    def handle_data(self, data: str) -> None:
        if self._element in ("script", "style") and data.strip():
            self.inline.append(data)


def checked(html: str) -> None:
    """A page has no script or style of its own, and refers to this host only."""
    found = Structure(html)
    assert found.inline == []
    assert all(re.match(r"(/console|#main$)", each) for each in found.loaded), found.loaded
    assert len(found.ids) == len(set(found.ids))
    assert {each for each in found.labels if each} <= set(found.ids)


@pytest.mark.parametrize("path", READABLE)
async def test_each_page_is_there(operator: Operator, path: str) -> None:
    """With its headers; a page without data says what to do."""
    answer = await operator.get(path)
    assert answer.status_code == 200, text_of(answer.text)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert ">None<" not in answer.text
    assert "access-control-allow-origin" not in answer.headers
    checked(answer.text)


@pytest.mark.parametrize("path", READABLE)
async def test_a_reader_reads(served: Served, path: str) -> None:
    """All pages but those about people, without a link to a change."""
    async with Operator.of(served) as client:
        await client.sign_in(READER)
        answer = await client.get(path)
        assert answer.status_code == 200, text_of(answer.text)
        assert "/console/change/" not in answer.text


HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quotes": '" onmouseover="alert(1)" \' autofocus onfocus=\'alert(1)',
    "template": "{{ 71917191*7 }}{% raw %}${71917191*7}#{71917191*7}",
    "direction": "abc\u202egpj.exe\u2066\u200f",
    "control": "a\x00b\x1b[31mc\r\nSet-Cookie: a=b",
    "long": "x" * 10_000,
    "address": "javascript:alert(1)//../../?a=b&c#d",
    "surrogate": "\ud800\udfff",
    "empty": "",
}
TEMPLATED = "503420337"
"""What a template would make of it: too long to stand in an id or a time by chance."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_values_are_only_text(served: Served, text: str) -> None:
    """Every page, with that text in each place of its results."""
    given = urlencode(dict.fromkeys(("chain", "cause", "tel"), text), errors="replace")
    paths = [
        *READABLE,
        "/console/failures/x",
        f"/console/vcon/{new_uuid()}",
        f"/console/vcon/{new_uuid()}/custody",
        f"/console/vcon/{new_uuid()}/signatures",
        "/console/ledger/check",
        *(f"/console/change/{name}?{given}" for name in CHANGES),
    ]
    async with Operator.of(served) as client:
        await client.sign_in()
        real = served.pipeline.service.operator
        served.pipeline.service.operator = HostileOperator(real, text)  # type: ignore[assignment]
        for path in paths:
            answer = await client.get(path)
            assert answer.status_code == 200, (path, text_of(answer.text))
            checked(answer.text)
            assert "<script>alert" not in answer.text
            assert "set-cookie" not in answer.headers
            assert TEMPLATED not in text_of(answer.text)
            seen = re.sub('value="[^"]*"', "", answer.text)  # hidden fields keep what they have
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x00\x1b]", seen)
            assert len(answer.content) < 1_000_000


async def test_a_missing_operation_is_not_found(operator: Operator) -> None:
    """As of a process of another version."""
    assert (await operator.get("/console/")).headers["location"] == "/console"
    assert (await operator.get("/consoles")).json() == {"detail": "Not Found"}
    assert "no such page" in await operator.text("/console/nothing", 404)
    assert "Unknown change: nothing" in await operator.text("/console/change/nothing", 404)
    answer = await operator.delete("/console/audit")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("limit=x", "limit"),
        ("limit=99999999", "limit"),
        ("since=yesterday", "since"),
        ("before=-1", "before"),
        ("&".join(f"a{n}=1" for n in range(60)), "50 fields"),
        ("since=%ff%fe", "UTF-8"),
    ],
)
async def test_wrong_parameters_are_named(operator: Operator, query: str, word: str) -> None:
    """400, and what was wrong."""
    assert word in await operator.text(f"/console/audit?{query}", 400)


async def test_forms_are_bounded(operator: Operator) -> None:
    """Type, size and number of fields."""
    token = await operator.token()
    answer = await operator.post("/console/sign-out", json={"form_token": token})
    assert answer.status_code == 400
    answer = await operator.post("/console/sign-out", data={"form_token": token, "x": "y" * 70_000})
    assert answer.status_code == 413
    many = {"form_token": token} | {f"f{n}": "" for n in range(60)}
    assert (await operator.post("/console/sign-out", data=many)).status_code == 400


async def test_static_files(served: Served) -> None:
    """Under a name with their hash, for a year; no other name, and no path."""
    async with Operator.of(served) as client:
        page = await client.get("/console/sign-in")
        names = re.findall(r'"(/console/static/[^"]+)"', page.text)
        assert len(names) == 4
        for name in names:
            answer = await client.get(name)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
        for name in ("console.css", "..%2Fconsole.py", "%2e%2e/console.py", "x" * 5000):
            assert (await client.get(f"/console/static/{name}")).status_code == 404


async def test_the_address_may_end_in_a_slash(served: Served) -> None:
    """As it is often entered."""
    async with Operator.of(served) as client:
        answer = await client.get("/console/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console")
