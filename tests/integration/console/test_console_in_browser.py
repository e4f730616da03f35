"""The console in Chromium, of a process with a worker: under load, replays, pauses, both roles."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.browser import assert_accessible
from tests.integration.console.browser_scene import Console, sign_in
from tests.integration.console.console_scene import READER
from tests.unit.support.source_files import ROOT

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser import Browse

PICTURES = ROOT / "docs" / "images" / "console"
WRITE = "WRITE_SCREENSHOTS"
"""Set to write the pictures of docs/console.md."""
expect.set_options(timeout=60_000)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 720}


@pytest.fixture
async def console(
    tmp_path: Path, redis_url: str, database_environment: dict[str, str]
) -> AsyncIterator[Console]:
    """A process with a worker and three chains."""
    console = Console(tmp_path, {**database_environment, "REDIS_URL": redis_url})
    try:
        await console.ready()
        yield console
    finally:
        console.release()
        await asyncio.to_thread(console.service.stop)


async def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """A picture of what is to be seen, if pictures are to be written."""
    if os.environ.get(WRITE):
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)


async def test_the_console(browse: Browse, console: Console) -> None:
    """One walk through it, because a process takes seconds to start."""
    page = await browse(console.url, viewport=DESK)
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await _overview_changes_by_itself(page, console)
    await _pause_and_resume(page)
    await _replay_with_a_canary(page, console)
    await _one_vcon(page, console)
    await _refused_to_readers(browse, console)
    await _every_page_is_accessible(browse, console)
    await _without_a_script(browse, console)


async def _overview_changes_by_itself(page: Page, console: Console) -> None:
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="conversations"))
    ended = row.get_by_role("img", name=re.compile("^Out: "))
    await expect(ended).to_have_attribute("aria-label", re.compile("^Out: 0 in"))
    await console.send("calls", 30)
    await console.send("orders", 12)
    await console.send("reviews", 3)
    await expect(ended).to_have_attribute("aria-label", re.compile("^Out: 30 in"))
    await picture(page, "overview")


async def _pause_and_resume(page: Page) -> None:
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="reviews"))
    await row.get_by_role("link", name="Pause").click()
    await expect(page.get_by_role("heading", name="Pause a chain")).to_be_visible()
    await page.get_by_label("For", exact=True).select_option("an hour")
    await page.get_by_label("Reason").fill("the vendor is away until noon")
    await page.get_by_label("I want to do this now").check()
    await picture(page, "pause")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("status").filter(has_text="done")).to_be_visible()
    await page.get_by_role("link", name="Back").click()
    await expect(row.get_by_text("paused")).to_be_visible()
    await row.get_by_role("link", name="Resume").click()
    await page.get_by_label("Reason").fill("the vendor is back")
    await page.get_by_label("I want to do this now").check()
    await page.get_by_role("button", name="Resume").click()
    await page.get_by_role("link", name="Back").click()
    await expect(row.get_by_role("link", name="Pause")).to_be_visible()


async def _replay_with_a_canary(page: Page, console: Console) -> None:
    await page.get_by_role("navigation").get_by_role("link", name="Failures").click()
    await expect(page.get_by_role("row", name=re.compile("ConnectionError"))).to_be_visible()
    await picture(page, "failures")
    await _replay(page, canary="2")
    table = page.get_by_role("region", name="Replays")
    await expect(table.get_by_text("canary failed", exact=True)).to_be_visible()
    console.repair()
    await _replay(page, canary="2")
    await expect(table.get_by_text("done", exact=True)).to_be_visible()


async def _replay(page: Page, canary: str) -> None:
    await page.get_by_role("link", name=re.compile("^Replay cause")).click()
    await page.get_by_label("Canary").fill(canary)
    await page.get_by_label("Reason").fill("Postgres of the shop was away")
    await page.get_by_label("I want to do this now").check()
    await page.get_by_role("button", name="Replay").click()
    await page.get_by_role("link", name="Back").click()


async def _one_vcon(page: Page, console: Console) -> None:
    [uuid] = await console.send("calls", 1)
    await page.goto("/console/search")
    await page.get_by_label("By").select_option("vCon")
    await page.get_by_label("Value").fill(uuid.upper())
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("heading", name=uuid)).to_be_visible()
    await expect(page.get_by_text("Where is my order?")).to_be_visible()
    await expect(page.get_by_text("Ann Example, +15550100").first).to_be_visible()
    await picture(page, "vcon", whole=True)


async def _refused_to_readers(browse: Browse, console: Console) -> None:
    """No link to a change, no data about people; a change of their own making is 403."""
    refused = "status of 403"
    page = await browse(console.url, viewport=DESK, expected=[refused])
    await sign_in(page, READER)
    await expect(page.get_by_text("anna (reader)")).to_be_visible()
    await expect(page.get_by_role("link", name="Pause")).to_have_count(0)
    await expect(page.get_by_role("link", name="Search")).to_have_count(0)
    await page.goto("/console/change/pause?chain=reviews")
    await expect(page.get_by_text("This session is read-only")).to_be_visible()


PAGES = ("", "running", "failures", "steps", "partners", "configuration", "replicas", "audit")


async def _every_page_is_accessible(browse: Browse, console: Console) -> None:
    """In light on a desk, in dark on a phone; no page is wider than its window."""
    for scheme, viewport, pages in (("light", DESK, PAGES[:3]), ("dark", PHONE, PAGES)):
        page = await browse(console.url, viewport=viewport, color_scheme=scheme)
        await page.goto("/console")
        await assert_accessible(page)
        await sign_in(page)
        for path in pages:
            await page.goto(f"/console/{path}".rstrip("/"))
            await assert_accessible(page)
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await page.evaluate(wide), (path, viewport)
            if viewport == PHONE and not path:
                await picture(page, "phone")


async def _without_a_script(browse: Browse, console: Console) -> None:
    """Pages are read, and a form is sent."""
    page = await browse(console.url, viewport=DESK, java_script_enabled=False)
    await sign_in(page)
    await expect(page.get_by_role("rowheader", name="conversations")).to_be_visible()
    await page.get_by_role("link", name="Sign out").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
