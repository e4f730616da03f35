"""A link that hangs, ends its process or reaches outside ends only its own trial."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from core.errors import PluginFailedError
from core.settings import Settings
from pipeline.operator.trial.messages import CheckSetup
from pipeline.operator.trial.sandbox import Sandbox, check, plain_settings
from tests.integration.operator.trial_scene import (
    MEBIBYTE,
    UUID,
    acting,
    acting_link,
    configured,
    request,
    sandbox,
)

__all__ = ["acting_link"]


async def outcomes(box: Sandbox, *links: str) -> dict[str, str]:
    """How a trial of each of these links alone ends, in one sandbox after the other."""
    acts = [step.name for step in box.setup.after.chains["main"].links]
    found = {}
    for link in links:
        told = {act: "run" if act == link else "skip" for act in acts}
        result = await box.trial(request(**told))
        found[link] = result if isinstance(result, str) else result.after.error
    return found


async def test_what_ends_a_trial_ends_no_other(acting_link: Path) -> None:
    """The result names the link; the next vCon is tried, where needed in a new process."""
    fatal = {
        "leave": "link leave ended the process, with exit code 3",
        "crash": "link crash ended the process, by SIGSEGV",
    }
    caught = {
        "exit": "SystemExit: called sys.exit(4)",
        "raise": "ZeroDivisionError: division by zero",
        "nothing": "",
    }
    async with sandbox(acting(*fatal, *caught)) as box:
        assert await outcomes(box, *fatal, *caught) == fatal | caught
        assert box.started == 3


async def test_a_link_that_hangs_is_ended(acting_link: Path) -> None:
    """After the time of one vCon, with all that the process has started."""
    async with sandbox(acting("hang", "nothing"), seconds=0.5) as box:
        told = await outcomes(box, "hang", "nothing")
    assert told == {"hang": "link hang did not end within 0.5 s", "nothing": ""}


async def test_memory_is_limited(acting_link: Path) -> None:
    """A link that takes memory without end fails, and the machine keeps its own."""
    async with sandbox(acting("grow"), memory=256 * MEBIBYTE) as box:
        assert "MemoryError" in (await outcomes(box, "grow"))["grow"]


OTHER = "01890000-0000-7000-8000-000000000002"


async def test_what_reaches_outside_is_refused_and_told(acting_link: Path) -> None:
    """Also where the link hides the error; the process goes on."""
    refused = {
        "set": "Redis, redis.set 'other'",
        "json": f"Redis, redis.json.set 'vcon:{UUID}'",
        "hide": "Redis, redis.set 'other'",
        "other_vcon": f"Redis, writing the vCon {OTHER}",
        "read_other": f"Redis, JSON.GET vcon:{OTHER}",
        "queue": "Redis, RPUSH somewhere",
        "start": "another process (subprocess.Popen)",
        "shell": "another process (os.system)",
    }
    async with sandbox(acting(*refused, more=OTHER)) as box:
        told = await outcomes(box, *refused)
        assert box.started == 1
    assert told == {
        act: f"did what a pure link does not do: {what}" for act, what in refused.items()
    }


async def test_files_stay(acting_link: Path) -> None:
    """Neither is a file written, nor is one removed."""
    there = acting_link / "there"
    there.write_text("content")
    async with sandbox(acting("write", "remove", more=there)) as box:
        told = await outcomes(box, "write", "remove")
    assert "writing files (open" in told["write"]
    assert "writing files (os.remove" in told["remove"]
    assert there.read_text() == "content"


async def test_nothing_is_connected_to(acting_link: Path) -> None:
    """A server that listens gets no connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        async with sandbox(acting("connect", more=port)) as box:
            told = (await outcomes(box, "connect"))["connect"]
        with pytest.raises(BlockingIOError):
            server.accept()
    assert f"the network (socket.connect ('127.0.0.1', {port}))" in told


async def test_a_module_that_ends_the_process_when_it_is_imported(tmp_path: Path) -> None:
    """No trial begins, and the error says so."""
    (tmp_path / "leaving_link.py").write_text("import os\nos._exit(7)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        config = configured({"it": {"module": "leaving_link"}})
        with pytest.raises(PluginFailedError, match="ended the process, with exit code 7"):
            async with sandbox(config) as box:
                await box.trial(request())
        plain = plain_settings(Settings.model_construct())
        checked = await check(CheckSetup(config, None, plain))
    assert checked.problems == [
        "the plugins cannot be loaded: the process of the trial ended the process, with exit code 7"
    ]
