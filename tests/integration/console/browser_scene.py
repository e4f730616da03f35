"""A process of the service with one worker, whose chains are healthy, slow and broken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from devstack.service import ServiceProcess
from flowlang.connections.tls import web_trust
from tests.integration.console.console_scene import OPERATOR, READER
from tests.integration.http_api.http_scene import HEADER, TOKEN
from tests.integration.support.pipeline_fixtures import a_vcon

if TYPE_CHECKING:
    from playwright.async_api import Page

CONFIG = """
links:
  tag: {module: links.tag, options: {tags: [seen]}}
  enrich: {module: steps_of_the_scene, options: {seconds: 0.05}}
  look_up: {module: steps_of_the_scene, options: {flag: FOLDER/repaired}}
  hold: {module: steps_of_the_scene, options: {wait: FOLDER/released}}
storages:
  archive: {module: storage.file, options: {path: FOLDER/archive}}
chains:
  conversations:
    links: [tag, enrich]
    storages: [archive]
    ingress_lists: [calls]
    egress_lists: [out]
  orders: {links: [look_up], ingress_lists: [orders], max_attempts: 1}
  reviews: {links: [hold], ingress_lists: [reviews]}
ingress_auth:
  calls: {key: key-of-the-partner-acme, label: acme}
"""
LINK = """
import pathlib
import time


def run(vcon_uuid, link_name, opts):
    if "wait" in opts:
        while not pathlib.Path(opts["wait"]).exists():
            time.sleep(0.05)
    if "flag" in opts and not pathlib.Path(opts["flag"]).exists():
        raise ConnectionError(f"no account of {vcon_uuid}: port 5432 refused")
    time.sleep(opts.get("seconds", 0))
    return vcon_uuid
"""


class Console:
    """The process, and what is sent to it."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        """Start it; its plugins, files and log are in `folder`."""
        self.folder = folder
        (folder / "steps_of_the_scene.py").write_text(LINK)
        (folder / "config.yml").write_text(CONFIG.replace("FOLDER", str(folder)))
        given = {
            "CONSERVER_CONFIG_FILE": str(folder / "config.yml"),
            "CONSERVER_API_TOKEN": TOKEN,
            "CONSOLE_PASSWORD": OPERATOR,
            "CONSOLE_READ_PASSWORD": READER,
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
            "SHUTDOWN_GRACE": "5",
            "CONSERVER_VCON_CONCURRENCY": "8",
        }
        arguments = ("api", "--workers", "1")
        self.service = ServiceProcess(folder, settings | given, name="api", arguments=arguments)

    @property
    def url(self) -> str:
        """The origin of its pages."""
        return self.service.api_url

    async def ready(self) -> None:
        """Return when it is."""
        await asyncio.to_thread(self.service.wait_until_ready)

    async def send(self, list_name: str, count: int) -> list[str]:
        """VCons for a list; their uuids."""
        headers = {HEADER: TOKEN}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=60, verify=web_trust()
        ) as http:
            answers = [
                await http.post("/vcon", params={"ingress_lists": list_name}, json=a_call())
                for _ in range(count)
            ]
        return [str(answer.raise_for_status().json()["uuid"]) for answer in answers]

    def repair(self) -> None:
        """The broken link works from now on."""
        (self.folder / "repaired").touch()

    def release(self) -> None:
        """What holds its vCon goes on."""
        (self.folder / "released").touch()


def a_call() -> dict[str, object]:
    """A vCon with two parties and what they said."""
    parties = [{"name": "Ann Example", "tel": "+15550100"}, {"name": "Support", "mailto": "s@x.y"}]
    dialog = [
        {
            "type": "text",
            "start": "2026-11-21T12:00:00+00:00",
            "parties": [0],
            "mediatype": "text/plain",
            "encoding": "none",
            "body": "Where is my order?",
        }
    ]
    return a_vcon(parties=parties, dialog=dialog)


async def sign_in(page: Page, secret: str = OPERATOR, after: str = "") -> None:
    """Enter name and password."""
    await page.goto("/console" + after)
    await page.get_by_label("Your name").fill("anna")
    await page.get_by_label("Password of the console").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
