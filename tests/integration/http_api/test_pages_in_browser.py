"""`/docs` and `/redoc` in Chromium: they work under their policies, and ask no other host."""

from __future__ import annotations

from re import compile as pattern
from typing import TYPE_CHECKING

from playwright.async_api import expect

from http_api.description.answer_table import EXAMPLE
from tests.integration.http_api.http_scene import TOKEN, Served

if TYPE_CHECKING:
    from tests.browser import Browse


async def test_a_request_is_sent_from_swagger_ui(browse: Browse, served: Served) -> None:
    """With the token that was entered, to the host of the page."""
    page = await browse(served.url)
    await page.goto("/docs")
    await page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".modal-ux")
    await dialog.get_by_role("textbox").first.fill(TOKEN)
    await dialog.get_by_role("button", name="Apply credentials").first.click()
    await dialog.get_by_role("button", name="Close").first.click()
    operation = page.locator("#operations-Ingest-post_vcon")
    await operation.click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    answered = operation.locator(".live-responses-table .response-col_status").last
    await expect(answered).to_have_text(pattern("^201"))
    assert served.client.exists(f"vcon:{EXAMPLE['uuid']}")


async def test_redoc_shows_and_searches_the_description(browse: Browse, served: Served) -> None:
    """Its search works in a worker, which the policy allows."""
    page = await browse(served.url)
    await page.goto("/redoc")
    await expect(page.get_by_role("heading", name="Take a partner's vCon")).to_be_visible()
    await page.get_by_role("textbox", name="Search").fill("partner")
    found = page.locator("[data-role='search:results']")
    await expect(found.get_by_text("Take a partner's vCon")).to_be_visible()
