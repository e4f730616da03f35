"""Pages in a real browser, which is watched while a test uses them.

    async def test_the_page(browse: Browse, served: Served) -> None:
        page = await browse(served.url)
        await page.goto("/docs")
        await assert_accessible(page)

A test process has one browser (`devstack/servers/chromium.py`), and every call of `browse` gets a
context of its own: no cookies, nothing cached. A test fails if a page of its contexts wrote a
warning or an error to the console, let an exception escape, sent a request to another origin, or
did what its Content-Security-Policy forbids. `expected` names the patterns of what must be written
there, such as the browser's own line about a 403; one that does not come fails the test, too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.support.missing import missing

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from devstack.servers.chromium import Chromium

LOCAL_SCHEMES = ("about:", "blob:", "data:")
"""Of addresses that are in the browser itself."""
SECONDS = 60
"""How long an action or an expectation waits for the page."""
REPORTS = """
document.addEventListener("securitypolicyviolation", event =>
  reportViolation(`${event.violatedDirective} forbids ${event.blockedURI}`));
"""
AXE_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class Watch:
    """What pages of one origin did that they should not have done."""

    def __init__(self, origin: str, expected: Sequence[str]) -> None:
        self.origin, self._missing = origin, list(expected)
        self._expected = tuple(map(re.compile, expected))
        self._complaints: list[str] = []

    def found(self, what: str) -> None:
        """Notes something, unless it is expected."""
        matching = [each.pattern for each in self._expected if each.search(what)]
        self._missing = [each for each in self._missing if each not in matching]
        if not matching:
            self._complaints.append(what)

    def requested(self, url: str) -> None:
        """Notes a request to another origin."""
        if not url.startswith((f"{self.origin}/", *LOCAL_SCHEMES)):
            self.found(f"request to another origin: {url}")

    def complaints(self) -> Sequence[str]:
        """All of them, and what was expected in vain."""
        return [*self._complaints, *(f"did not happen: {each}" for each in self._missing)]


class Browse:
    """Opens pages, each in a new context; made by the fixture `browse`."""

    def __init__(self, browser: Browser, stack: AsyncExitStack) -> None:
        self._browser, self._stack = browser, stack
        self._watches: list[Watch] = []

    async def __call__(self, origin: str, *, expected: Sequence[str] = (), **options: Any) -> Page:
        """A page without content, whose relative addresses are those of `origin`.

        `options` are those of Playwright's `new_context`, such as `color_scheme`, `viewport`,
        `java_script_enabled`.
        """
        self._watches.append(watch := Watch(origin, expected))
        context = await self._browser.new_context(base_url=origin, **options)
        self._stack.push_async_callback(context.close)
        context.set_default_timeout(SECONDS * 1000)
        context.on("request", lambda request: watch.requested(request.url))
        context.on("weberror", lambda error: watch.found(f"exception: {error.error}"))
        context.on(
            "console",
            lambda line: line.type in {"error", "warning"} and watch.found(f"console: {line.text}"),
        )
        await context.expose_function("reportViolation", watch.found)
        await context.add_init_script(REPORTS)
        page = await context.new_page()
        page.on("websocket", lambda socket: watch.requested(socket.url.replace("ws", "http", 1)))
        return page

    def complaints(self) -> Sequence[str]:
        """What the pages did that they should not have done."""
        return [each for watch in self._watches for each in watch.complaints()]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser of this process; without one the test is skipped, or fails in CI."""
    from devstack.servers.chromium import Chromium, installed
    from devstack.servers.folders import temporary_folder

    browser = installed()
    if browser is None:
        missing("there is no Chromium here; `python -m devstack.servers.chromium` says why")
    with temporary_folder() as folder:
        running = Chromium.start(browser, folder)
        yield running
        running.stop()


@asynccontextmanager
async def browsing(chromium: Chromium) -> AsyncIterator[Browse]:
    """Opens pages until the block ends; their complaints are there to be read."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright, AsyncExitStack() as stack:
        browser = await playwright.chromium.connect_over_cdp(chromium.url)
        yield Browse(browser, stack)


@pytest.fixture
async def browse(chromium: Chromium) -> AsyncIterator[Browse]:
    """Opens pages, and fails the test for what they did that they should not have done."""
    async with browsing(chromium) as opened:
        yield opened
    if complaints := opened.complaints():
        pytest.fail("in the browser: " + "\n".join(complaints))


async def assert_accessible(page: Page) -> None:
    """No rule of axe-core is violated by what the page shows now.

    axe runs in a JavaScript world of its own beside the page's: the page's policy does not apply
    there, and stays as it is for the page.
    """
    from axe_playwright_python.base import AXE_SCRIPT, AxeResults

    session = await page.context.new_cdp_session(page)
    frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    world = await session.send("Page.createIsolatedWorld", {"frameId": frame})
    found = await session.send(
        "Runtime.evaluate",
        {
            "expression": f"{AXE_SCRIPT}\naxe.run({{runOnly: {list(AXE_RULES)}}})",
            "contextId": world["executionContextId"],
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    await session.detach()
    assert "exceptionDetails" not in found, found
    results = AxeResults(found["result"]["value"])
    assert not results.violations_count, results.generate_report()
