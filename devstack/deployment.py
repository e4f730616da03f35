"""Runs the whole system on this machine: servers, a development Plugboard, the real service."""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from devstack.plugboard.server import DevelopmentPlugboard
from devstack.plugboard.settings import Answered, PlugboardSettings, Variant
from devstack.servers.stack import EmbeddedStack
from devstack.service import ServiceProcess

DATABASE = "patchcord"
SERVICE = "patchcord"
CALL_SECONDS = 35.0


class Deployment:
    """A context manager; `call` sends requests to the running service through the Plugboard.

    `service` is the first replica; `start_service` adds more, `start_api` adds processes of the
    HTTP API, which `api_token` opens.
    """

    stack: EmbeddedStack
    board: DevelopmentPlugboard
    service: ServiceProcess

    def __init__(
        self,
        config: Path,
        *,
        folder: Path | None = None,
        variant: Variant = Variant.BUGFIXES,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        losses: bool = False,
        health_port: int = 0,
        answered: Answered | None = None,
        valkey_password: str = "",
        api_port: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`config` is the pipeline's config.yml; `settings` are added to the service's own.

        `variables` are for `${NAME}` in it; they replace none of the service's own.

        Without `folder`, all files are in a temporary one. The configuration may refer to
        `${DATA_FOLDER}`, a folder for files, and to the Postgres settings. With `losses` the
        development Plugboard loses requests as the real one does. `health_port` is the first
        replica's, 0 for a free one; `answered` is called for each answered request. With `api_port`
        the first replica serves the HTTP API, on a free port if that is 0.
        """
        self._config = config
        self._valkey_password = valkey_password
        self._folder = folder
        self._plugboard = PlugboardSettings(
            variant=variant, port=port, losses=losses, answered=answered
        )
        self._health_port = health_port
        self._api_port = api_port
        self.api_token = secrets.token_urlsafe(24)
        self._settings = dict(settings or {})
        self._variables = dict(variables or {})
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything, and wait until the service is ready.

        Raises:
            StackError: if a part does not start; the others have been stopped again.
        """
        async with AsyncExitStack() as started:
            stack = EmbeddedStack(self._folder, valkey_password=self._valkey_password)
            self.stack = await asyncio.to_thread(stack.__enter__)
            started.push(stack.__exit__)
            await asyncio.to_thread(self._prepare)
            self.board = await started.enter_async_context(DevelopmentPlugboard(self._plugboard))
            self._furnish()
            self._callers = await started.enter_async_context(
                httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False)
            )
            self._exit = started.pop_all()
        try:
            self.service = self.start_service("service", **self._ports())
            await asyncio.to_thread(self.service.wait_until_ready)
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all parts, the services first."""
        await self._exit.aclose()

    def _ports(self) -> dict[str, str]:
        health = {"HEALTH_PORT": str(self._health_port)} if self._health_port else {}
        api = {} if self._api_port is None else {"API_PORT": str(self._api_port)}
        return health | api

    def _prepare(self) -> None:
        self.data.mkdir(exist_ok=True)
        self.stack.postgres.create_database(DATABASE)

    def _furnish(self) -> None:
        self.plugboard_service = self.board.create_service(SERVICE)
        self.token = self.board.create_token(self.plugboard_service)
        self.account = self.board.create_account_token()

    @property
    def data(self) -> Path:
        """The folder for files that storages write."""
        return self.stack.folder / "data"

    def environment(self) -> dict[str, str]:
        """The settings of the service."""
        return {
            **self._variables,
            **self.stack.environment(DATABASE),
            "ENVIRONMENT": "development",
            "WEBSOCKET_URL": self.board.websocket_url,
            "TOKEN": self.token.value,
            "CONSERVER_CONFIG_FILE": str(self._config.resolve()),
            "DATA_FOLDER": str(self.data),
            "REDIS_PORT": str(self.stack.valkey.port),
            "REDIS_PASSWORD": self.stack.valkey.password,
            "CONSERVER_API_TOKEN": self.api_token,
            **self._settings,
        }

    def start_service(self, name: str, **settings: str) -> ServiceProcess:
        """Start another replica, which is stopped with the system."""
        return self._start(name, {**self.environment(), **settings})

    def start_api(self, name: str, workers: int = 0, **settings: str) -> ServiceProcess:
        """Start a process of the HTTP API on a free port, which is stopped with the system."""
        environment = {**self.environment(), "API_PORT": "0", **settings}
        for plugboard in ("WEBSOCKET_URL", "TOKEN"):
            del environment[plugboard]
        return self._start(name, environment, "api", "--workers", str(workers))

    def _start(self, name: str, environment: Mapping[str, str], *arguments: str) -> ServiceProcess:
        folder = self.stack.folder / "services"
        service = ServiceProcess(folder, environment, name=name, arguments=arguments)
        self._exit.push_async_callback(asyncio.to_thread, service.stop)
        return service

    async def call(self, action: str, **fields: Any) -> httpx.Response:
        """POST one request to the Plugboard, as callers do."""
        return await self._callers.post(
            self.board.http_url,
            headers={"Authorization": f"Bearer {self.account.value}"},
            json={"service_id": self.plugboard_service.id, "action": action, "fields": fields},
        )


def console_address(system: Deployment) -> str:
    """The last words on a terminal of a system that keeps running: a page that can be opened."""
    return (
        f"Open {system.service.api_url}/console and sign in with any name and {system.api_token}\n"
        "Ctrl-C stops everything."
    )
