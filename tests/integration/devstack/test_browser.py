"""The browser of the tests: what a page does wrong fails the test that opened it."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from devstack.servers.chromium import NO_SANDBOX, Browser, Chromium, installed
from devstack.servers.debian import Unpacked
from tests.browser import Browse, assert_accessible, browsing
from tests.integration.support.http_stand_in import StandIn, stand_in

PAGE = '<!DOCTYPE html><html lang="en"><head><title>t</title></head><body><main>{}</main></body>'
POLICY = "default-src 'none'; script-src 'self'; connect-src *"
ELSEWHERE = "http://127.0.0.2:9/x"
SCRIPT = PAGE.format('<h1>page</h1><script src="/page.js"></script>')
LIGHT = PAGE.format('<h1>page</h1><p style="color: #eee; background: #fff">light</p>')


@pytest.fixture
def site() -> Iterator[StandIn]:
    """A server of one page and its script, with a strict policy."""
    with stand_in(StandIn()) as site:
        site.headers = {"content-type": "text/html", "content-security-policy": POLICY}
        site.replies["/"] = SCRIPT.encode()
        yield site


@pytest.fixture
async def watched(chromium: Chromium) -> AsyncIterator[Browse]:
    """As the fixture `browse`, but complaints fail nothing."""
    async with browsing(chromium) as browse:
        yield browse


def script(site: StandIn, text: str) -> None:
    """The script of the page; the title says that it has run, with what it leaves for later."""
    ran = 'setTimeout(() => { document.title = "ran" })'
    site.replies["/page.js"] = f"{text};\n{ran}".encode()


WRONG = {
    'console.error("broken")': "console: broken",
    'console.warn("odd")': "console: odd",
    'setTimeout(() => { throw new Error("lost") })': "exception: lost",
    f'fetch("{ELSEWHERE}").catch(() => 0)': f"request to another origin: {ELSEWHERE}",
    'document.body.setAttribute("style", "color: red")': "style-src-attr forbids inline",
    'document.body.append(Object.assign(new Image(), {src: "/i"}))': "img-src forbids",
}
"""Scripts of a page, and what is noted of each."""


async def test_what_a_page_does_wrong_is_noted(watched: Browse, site: StandIn) -> None:
    """Each kind by the event that the browser has for it."""
    for text, complaint in WRONG.items():
        before = len(watched.complaints())
        script(site, text)
        page = await watched(site.base)
        await page.goto("/")
        await expect(page).to_have_title("ran")
        found = watched.complaints()[before:]
        assert any(each.startswith(complaint) for each in found), (text, found)


async def test_a_page_without_fault_has_no_complaint(browse: Browse, site: StandIn) -> None:
    """Also where the browser writes a line that the test expects."""
    script(site, 'fetch("/gone")')
    page = await browse(site.base, expected=["status of 410"])
    site.answers += ["ok", "ok", "410"]
    async with page.expect_response("**/gone"):
        await page.goto("/")


async def test_what_was_expected_must_happen(watched: Browse, site: StandIn) -> None:
    """Else a test would go on to allow what no longer occurs."""
    script(site, "")
    page = await watched(site.base, expected=["status of 410"])
    await page.goto("/")
    assert watched.complaints() == ["did not happen: status of 410"]


async def test_axe_finds_what_cannot_be_read(browse: Browse, site: StandIn) -> None:
    """Under a strict policy, in a world beside the page's."""
    script(site, "")
    page = await browse(site.base)
    await page.goto("/")
    await assert_accessible(page)
    del site.headers["content-security-policy"]
    site.replies["/"] = LIGHT.encode()
    await page.goto("/")
    with pytest.raises(AssertionError, match="color-contrast"):
        await assert_accessible(page)
    assert await page.evaluate("typeof window.axe") == "undefined"


async def test_each_page_has_a_context_of_its_own(browse: Browse, site: StandIn) -> None:
    """What one keeps, another does not see."""
    script(site, "")
    first, second = await browse(site.base), await browse(site.base)
    await first.goto("/")
    await first.evaluate("document.cookie = 'kept=1'")
    await second.goto("/")
    assert await second.evaluate("document.cookie") == ""


def test_a_browser_that_gets_no_sandbox_runs_without_one(
    chromium: Chromium, reachable_folder: Path
) -> None:
    """As in a container, where the kernel gives it no namespaces of its own."""
    browser = installed()
    assert browser
    program = reachable_folder / "browser"
    program.write_text(
        f"""#!/bin/sh
        case "$*" in *{NO_SANDBOX}*) exec {shlex.quote(str(browser.program))} "$@";; esac
        echo "No usable sandbox!" >&2; exit 1
        """
    )
    program.chmod(0o755)
    running = Chromium.start(Browser(program, browser.unpacked), reachable_folder)
    assert running.url != chromium.url
    assert not running.sandboxed
    running.stop()


def test_an_unpacked_browser_has_its_own_fonts_and_libraries(tmp_path: Path) -> None:
    """Those of the machine have other versions, or are not there."""
    root = tmp_path / "root"
    environment = Browser(root / "program", Unpacked(root)).environment(tmp_path)
    assert all(each.startswith(f"{root}/") for each in environment["LD_LIBRARY_PATH"].split(":"))
    assert f"<dir>{root}/usr/share/fonts</dir>" in Path(environment["FONTCONFIG_FILE"]).read_text()
