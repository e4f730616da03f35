"""An action that blocks for ever, in the real service: its callers, the next ones, and the stop."""

import asyncio
import os
import sys
from pathlib import Path
from signal import SIGTERM

from devstack.plugboard import Variant
from devstack.servers.ports import HOST, free_port
from devstack.servers.process import KeptProcess
from devstack.service import fetched
from tests.integration.support.plugboard_scene import plugboard

ROOT = Path(__file__).parents[2]
CEILING = 60.0  # seconds; reached only when something is broken

HANG = """
import threading
from typing import Any

from core.action_response import ActionResponse
from core.action_runner import ActionRunner


class Hang(ActionRunner):
    @classmethod
    def description(cls) -> str:
        return "Blocks for ever"

    def run(self, client: Any, websocket: Any) -> ActionResponse:
        threading.Event().wait()
        return ActionResponse(status_code=200)
"""
START = """
import sys
import actions
actions.__path__.append(sys.argv.pop())
import entrypoint
sys.exit(entrypoint.main())
"""


async def test_a_thread_that_hangs(tmp_path: Path, database_environment: dict[str, str]) -> None:
    """The caller gets 504, the thread is counted, the next one gets 503, and a stop is a stop."""
    (tmp_path / "actions").mkdir()
    (tmp_path / "actions" / "hang.py").write_text(HANG)
    async with plugboard(variant=Variant.BUGFIXES) as scene:
        port = free_port()
        service = KeptProcess(
            "service",
            [sys.executable, "-c", START, str(tmp_path / "actions")],
            folder=tmp_path,
            stop_signal=SIGTERM,
            environment={
                "PATH": os.defpath,
                "PYTHONPATH": str(ROOT),
                "WEBSOCKET_URL": scene.board.websocket_url,
                "TOKEN": scene.token.value,
                "HEALTH_HOST": HOST,
                "HEALTH_PORT": str(port),
                "ACTION_TIMEOUT": "0.2",
                "BLOCKING_THREADS": "1",
                **database_environment,
            },
        )
        try:
            await scene.board.wait_joined(scene.service, within=CEILING)
            first = await scene.post(action="Hang", fields={})
            assert (first.status_code, first.json()["message"]) == (
                504,
                "Hang took longer than 0.2 s",
            )
            second = await scene.post(action="Hang", fields={})
            assert second.status_code == 503
            assert second.json()["message"].startswith(
                "all 1 threads for blocking actions are held"
            )
            page = await asyncio.to_thread(fetched, port, "/metrics")
            assert b"patchcord_stuck_threads 1.0" in page.content
        finally:
            await asyncio.to_thread(service.stop)
        assert service.exit_code == 0
