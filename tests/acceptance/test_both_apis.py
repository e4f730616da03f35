"""The HTTP API beside the Plugboard: one system, two ways in, the same vCons."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx

from devstack.deployment import Deployment, console_address
from devstack.up import operator_line, paste

SAMPLES = Path(__file__).parents[2] / "samples"
SECONDS = 60.0
POLL_SECONDS = 0.05


async def test_what_comes_in_by_one_way_is_found_by_the_other() -> None:
    """Over HTTP in the service, over HTTP in a process of its own, and over the Plugboard."""
    first, second, *_ = (json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json")))
    async with Deployment(SAMPLES / "config.yml", api_port=0) as system:
        api = system.start_api("api")
        await asyncio.to_thread(api.wait_until_ready)
        headers = {"x-conserver-api-token": system.api_token}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
            lists = {"ingress_lists": "conversations"}
            posted = await http.post(f"{system.service.api_url}/vcon", params=lists, json=first)
            assert posted.status_code == httpx.codes.CREATED, posted.text
            sent = await system.call("IngestVcon", vcon=second, ingress_lists=["conversations"])
            assert sent.json()["fields"]["uuid"] == second["uuid"]
            found = await http.get(f"{api.api_url}/vcon/{second['uuid']}")
            assert found.json()["uuid"] == second["uuid"]
            async with asyncio.timeout(SECONDS):
                while (await stored(system, first["uuid"])).status_code != httpx.codes.OK:  # noqa: ASYNC110 -- asks like any caller
                    await asyncio.sleep(POLL_SECONDS)
            page = await http.get(console_of(system), follow_redirects=True)
            assert page.headers["content-type"].startswith("text/html"), page.text
            assert page.status_code == httpx.codes.OK
        assert system.service.api_url in paste(system)
        await operated(system)
        assert await asyncio.to_thread(api.stop) == 0


async def operated(system: Deployment) -> None:
    """The line that `make up` prints for the operator's commands; its file has secrets."""
    line = operator_line(system)
    file = Path(shlex.split(line)[0].removeprefix("ENV_FILE="))
    status = await asyncio.to_thread(file.stat)
    assert status.st_mode & 0o777 == 0o600
    program = line.replace(".venv/bin/python", shlex.quote(sys.executable))
    shell = await asyncio.create_subprocess_shell(
        program, cwd=SAMPLES.parent, env={"PATH": os.defpath}, stdout=PIPE, stderr=PIPE
    )
    out, err = await shell.communicate()
    assert (shell.returncode in (0, 1), err) == (True, b"")
    assert b" 2 replicas, 1 workers, " in out  # the API is one, too


def console_of(system: Deployment) -> str:
    """The address with which `make up` and `make demo ARGS=--keep` end."""
    [address] = re.findall(r"^Open (\S+) ", console_address(system), re.MULTILINE)
    return str(address)


async def stored(system: Deployment, vcon_uuid: str) -> httpx.Response:
    """What the Plugboard's callers get of a vCon that the chain has stored."""
    return await system.call("GetVcon", vcon_uuid=vcon_uuid, storage="postgres")
