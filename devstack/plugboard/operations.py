"""The operations for tests and the admin API: services, tokens, requests, crashes, waiting."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from devstack.plugboard.board.board import Board, Counters
from devstack.plugboard.board.directory import AccountToken, Directory, Service, Token
from devstack.plugboard.board.faults import Faults
from devstack.plugboard.board.sockets import TIMED_OUT, Effect, Requester
from devstack.plugboard.connections.consumer_connection import ConsumerConnection
from devstack.plugboard.hub import Hub
from devstack.plugboard.observation import Predicate, Watch
from devstack.plugboard.settings import PlugboardSettings


class Operations:
    """Operations on a board; services and tokens can be created while it is stopped."""

    def __init__(self, settings: PlugboardSettings) -> None:
        self.settings = settings
        self.directory = Directory(settings.token_lifetime)
        self.faults = Faults(losses=settings.losses)
        self._board = Board(settings, self.directory, self.faults)
        self._hub: Hub | None = None
        self._watch = Watch()

    @property
    def counters(self) -> Counters:
        """The outcomes of requests since the last start."""
        return self._board.counters

    @property
    def consumers(self) -> list[ConsumerConnection]:
        """The open WebSockets in the order of connecting, joined or not."""
        wires = [] if self._hub is None else self._hub.wires.values()
        return [wire for wire in wires if isinstance(wire, ConsumerConnection)]

    @property
    def history(self) -> list[ConsumerConnection]:
        """All WebSockets since the last start, the closed ones with their records included."""
        wires = [] if self._hub is None else self._hub.history
        return [wire for wire in wires if isinstance(wire, ConsumerConnection)]

    def joined(self, service: Service) -> list[ConsumerConnection]:
        """The service's consumers that are in the rotation."""
        return [c for c in self.consumers if c.service_id == service.id and c.joined]

    def create_service(self, name: str, parent: Service | None = None) -> Service:
        """Add a service; a child crashes the channels of its parent's consumers."""
        service = self.directory.create_service(name, parent, _now())
        self._perform(self._board.service_created(service))
        return service

    def rename_service(self, service: Service, name: str) -> None:
        """Rename it; its and its parent's consumers are notified even without a change."""
        self.directory.rename_service(service, name, _now())
        self._perform(self._board.service_renamed(service))

    def delete_service(self, service: Service) -> None:
        """Delete it and its descendants softly: all continue to work."""
        self._perform(self._board.delete_service(service, _now()))

    def create_token(self, service: Service, value: str | None = None) -> Token:
        """Issue a token; raises ValueError if the given value is invalid or in use."""
        value = secrets.token_urlsafe(32) if value is None else value
        token = self.directory.create_token(service, value, _now())
        self._perform(self._board.token_created(token))
        return token

    def delete_token(self, token: Token) -> None:
        """Delete it; its service's consumers are notified and stay connected."""
        self.directory.delete_token(token)
        self._perform(self._board.token_deleted(token))

    def expire_token(self, token: Token) -> None:
        """Let it expire now, without a notification."""
        token.expires_at = _now()

    def create_account_token(self, allowed: str = "", value: str | None = None) -> AccountToken:
        """Issue a bearer token for `POST /`, for services whose path matches the pattern."""
        value = secrets.token_urlsafe(32) if value is None else value
        return self.directory.create_account_token(value, allowed)

    def crash_channel(self, consumer: ConsumerConnection) -> None:
        """Crash a consumer's channel: it gets `phx_error` and is out of the rotation."""
        self._perform(self._board.crash(consumer.socket))

    def close_channel(self, consumer: ConsumerConnection) -> None:
        """Close a consumer's channel from the server's side: `phx_close`, out of the rotation."""
        self._perform(self._board.close(consumer.socket))

    def expire_requests(self, waited: float = 0.0) -> None:
        """Answer 408 now to all requests that have waited for `waited` seconds."""
        if self._hub is not None:
            self._hub.expire_waiting(waited)

    async def request(self, service: Service, action: object, fields: object) -> Any:
        """Send a request without HTTP; returns the payload of the consumer's answer.

        Raises:
            NoConsumersError: if no consumer is joined.
            TimeoutError: without an answer within `answer_timeout`.
        """
        answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def settle(payload: object) -> None:
            if not answered.done():
                answered.set_result(payload)

        self.ask(service, orjson.dumps(action), orjson.dumps(fields), settle)
        payload = await answered
        if payload is TIMED_OUT:
            raise TimeoutError(f"no answer from {service.name}")
        return payload

    def ask(self, service: Service, action: bytes, fields: bytes, requester: Requester) -> None:
        """`request` with a callback: action and fields are JSON, the requester is called once."""
        if self._hub is None:
            raise RuntimeError("the board is not running")
        self._hub.request(service.id, action, fields, requester)

    async def wait_for(self, predicate: Predicate, within: float = 60.0) -> None:
        """Return when the predicate is true; raises TimeoutError after `within` seconds."""
        await self._watch.wait_for(predicate, within)

    async def wait_joined(
        self, service: Service, count: int = 1, within: float = 60.0
    ) -> list[ConsumerConnection]:
        """The service's consumers, when at least `count` are in the rotation."""
        await self.wait_for(lambda: len(self.joined(service)) >= count, within)
        return self.joined(service)

    def _perform(self, effects: Sequence[Effect]) -> None:
        if self._hub is not None:
            self._hub.perform(effects)
            self._watch.changed()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
