"""Ping: whether a replica answers, and which."""

import os
import socket
from typing import Any, override

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.version import VERSION


class Ping(ActionRunner):
    """Answers.

    200 `{replica, version}`: host and process id of the replica that took the request.
    """

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        replica = f"{socket.gethostname()}:{os.getpid()}"
        return ActionResponse(status_code=200, fields={"replica": replica, "version": VERSION})
