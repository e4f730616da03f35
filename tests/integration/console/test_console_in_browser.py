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

from tests.integration.console.browser_scene import Console, sign_in
from tests.unit.support.source_files import ROOT

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser import Browse

PICTURES = ROOT / "docs" / "images" / "console"
WRITE = "WRITE_SCREENSHOTS"
"""Set to write the pictures of docs/console.md."""
expect.set_options(timeout=20_000)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


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


async def picture(page: Page, name: str) -> None:
    """A picture of what is to be seen, if pictures are to be written."""
    if os.environ.get(WRITE):
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png")


async def test_the_console(browse: Browse, console: Console) -> None:
    """One walk through it, because a process takes seconds to start."""
    page = await browse(console.url, viewport=DESK)
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await _overview_changes_by_itself(page, console)
    await _pause_and_resume(page)
    await _replay_with_a_canary(page, console)


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
    await _replay(page, canary="2")
    table = page.get_by_role("region", name="Replays")
    await expect(table.get_by_text("canary failed", exact=True)).to_be_visible()
    console.repair()
    await _replay(page, canary="2")
    await expect(table.get_by_text("done", exact=True)).to_be_visible()
    await picture(page, "failures")


async def _replay(page: Page, canary: str) -> None:
    await page.get_by_role("link", name=re.compile("^Replay cause")).click()
    await page.get_by_label("Canary").fill(canary)
    await page.get_by_label("Reason").fill("Postgres of the shop was away")
    await page.get_by_label("I want to do this now").check()
    await page.get_by_role("button", name="Replay").click()
    await page.get_by_role("link", name="Back").click()
