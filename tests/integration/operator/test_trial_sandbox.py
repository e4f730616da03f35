"""A link that hangs, ends its process or reaches outside ends only its own trial."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from core.errors import PluginFailedError
from pipeline.operator.trial.sandbox import Sandbox
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
    """After the time of one vCon."""
    async with sandbox(acting("hang"), seconds=0.5) as box:
        assert await box.trial(request()) == "link hang did not end within 0.5 s"


OTHER = "01890000-0000-7000-8000-000000000002"
REFUSED = "did what a pure link does not do: "


async def test_what_reaches_outside_is_refused_and_told(acting_link: Path) -> None:
    """Also where the link hides the error; the process goes on, and memory is limited."""
    (there := acting_link / "there").write_text("content")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        takes = {"other_vcon": OTHER, "read_other": OTHER, "connect": port}
        files = {"write": there, "remove": there}
        plain = ("set", "json", "hide", "queue", "start", "shell", "grow")
        config = acting(*plain, **takes, **files)
        async with sandbox(config, memory=256 * MEBIBYTE) as box:
            told = await outcomes(box, *plain, *takes, *files)
            assert box.started == 1
        with pytest.raises(BlockingIOError):
            server.accept()
    assert there.read_text() == "content"
    assert "MemoryError" in told.pop("grow")
    assert told == {
        "set": f"{REFUSED}Redis, redis.set 'other'",
        "json": f"{REFUSED}Redis, redis.json.set 'vcon:{UUID}'",
        "hide": f"{REFUSED}Redis, redis.set 'other'",
        "other_vcon": f"{REFUSED}Redis, writing the vCon {OTHER}",
        "read_other": f"{REFUSED}Redis, JSON.GET vcon:{OTHER}",
        "queue": f"{REFUSED}Redis, RPUSH somewhere",
        "start": f"{REFUSED}another process (subprocess.Popen)",
        "shell": f"{REFUSED}another process (os.system)",
        "connect": f"{REFUSED}the network (socket.connect ('127.0.0.1', {port}))",
        "write": f"{REFUSED}writing files (open {str(there)!r})",
        "remove": f"{REFUSED}writing files (os.remove {str(there)!r})",
    }


async def test_a_module_that_ends_the_process_when_it_is_imported(tmp_path: Path) -> None:
    """No trial begins, and the error says so."""
    (tmp_path / "leaving_link.py").write_text("import os\nos._exit(7)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        config = configured({"it": {"module": "leaving_link"}})
        with pytest.raises(PluginFailedError, match="ended the process, with exit code 7"):
            async with sandbox(config) as box:
                await box.trial(request())


async def test_the_time_for_imports_is_limited(acting_link: Path) -> None:
    """The process is ended when its time is over, before a vCon is tried."""
    async with Sandbox(sandbox(acting("nothing")).setup, load_seconds=0.01) as box:
        with pytest.raises(PluginFailedError, match=r"did not end within 0\.01 s"):
            await box.load()
