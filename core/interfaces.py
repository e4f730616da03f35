"""The interfaces that actions, events and the Plugboard client use of the service.

They are typing Protocols, so that neither `actions` nor `core` imports the pipeline.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from core.console_interfaces import ConsoleSessions
from core.ingest_interfaces import InternalIngestApi, PartnerIngestApi
from core.operation_interfaces import ConfigurationAdmin, VconServerOperations
from core.operator_interfaces import OperatorApi
from core.secrets.credentials import Credentials
from schemas.chain import ChainSummary
from schemas.connection import ConnectionSummary
from schemas.dead_letter import DeadLetterPage, Uncertain
from schemas.deletion import Deletion
from schemas.ingress_key import AuditEvent, Author, IngressKey, MadeKey, NewKey, Usage
from schemas.run import Run, Step
from schemas.run_page import RunPage, RunQuery
from schemas.service import Service
from schemas.token import Token
from schemas.vcon_page import VconPage

# The answer handover between replicas


class PeerCounts(NamedTuple):
    """The numbers of other replicas in the register."""

    serving: int
    """Replicas that send the answers of others."""
    leaving: int
    """Replicas that have left the channel and still work on requests."""


class AnswerRelay(Protocol):
    """A list of answers that all replicas of a service read, and a register of the replicas.

    If Redis is unavailable `next_answer` waits; the others raise `UnavailableError`.
    """

    async def next_answer(self, service_id: int, *, serving: bool) -> str | None:
        """Take the next answer; None after some seconds. `serving`: also register as serving."""
        ...

    async def hand_over(self, service_id: int, text: bytes) -> None:
        """Append one answer to the list, which expires after 30 seconds."""
        ...

    async def leave(self, service_id: int, seconds: float) -> PeerCounts:
        """Register as leaving for so many seconds; returns the counts of the others."""
        ...

    async def deregister(self, service_id: int) -> PeerCounts:
        """Remove this replica from the register; returns the counts of the others."""
        ...


# Connections


class ConnectionsApi(Protocol):
    """Tasks and flows over the service's connections.

    `run_task` and `run_flow` raise `UnknownNameError`, `ForbiddenError` for what is not exposed,
    `InvalidError` for parameters that do not fit, `PluginFailedError` for what fails, and
    `TooLateError`.
    """

    async def connections(self) -> Sequence[ConnectionSummary]:
        """All connections, each with the result of a check now."""
        ...

    async def run_task(
        self, connection: str, task: str, params: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """Run one task and return its outputs; `timeout` in seconds."""
        ...

    async def run_flow(
        self, flow: str, inputs: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """Run a flow; returns `outputs`, and `terminated` and `reason` after an `exit`."""
        ...


# The pipeline


class Operations(Protocol):
    """Dead letters, egress lists, the search index and the run history.

    The methods raise errors of `core.errors`, such as `UnknownNameError`.
    """

    async def runs(self, query: RunQuery) -> RunPage:
        """A page of the run history, newest first."""
        ...

    async def dead_letters(
        self, list_name: str | None, storage: str | None, limit: int, cursor: str | None
    ) -> DeadLetterPage:
        """A page of one dead-letter list with the error of each entry, and the count per cause."""
        ...

    async def replay(
        self,
        list_name: str | None,
        storage: str | None,
        *,
        vcon_uuids: Sequence[str] | None,
        cause: str | None,
        limit: int,
        from_start: bool,
        uncertain: Uncertain | None = None,
    ) -> int:
        """Queue dead letters again, at the failed step or from the start; returns their number.

        `uncertain`: what is done with steps that may have happened.
        """
        ...

    async def enqueue(
        self,
        vcon_uuids: Sequence[str],
        ingress_list: str,
        *,
        any_list: bool = False,
        fetching: AbstractAsyncContextManager[None] | None = None,
    ) -> list[str]:
        """Queue vCons that are in Redis or a storage; returns the uuids not found in either.

        `any_list`: also into a list that no chain reads. `fetching` is entered while the storages
        are asked; none is queued if it raises.
        """
        ...

    async def read_egress(self, egress_list: str, limit: int, lease_seconds: int) -> list[str]:
        """Lease uuids of an egress list; after the lease they are read again."""
        ...

    async def acknowledge(self, egress_list: str, vcon_uuids: Sequence[str]) -> int:
        """End the leases of these uuids; returns how many were leased."""
        ...

    async def vcons(
        self, since: float | None, until: float | None, limit: int, cursor: str | None
    ) -> VconPage:
        """A page of uuids by `created_at` (epoch seconds), newest first."""
        ...

    async def search(self, terms: Sequence[str], limit: int, cursor: str | None) -> VconPage:
        """A page of uuids of the vCons that have all terms (`tel:...`)."""
        ...

    async def delete(self, vcon_uuid: str, storages: Sequence[str]) -> Deletion:
        """Delete a vCon from Redis, and from the named storages that support it."""
        ...


# Partners


class PartnerAdmin(Protocol):
    """Ingress keys, their usage, and the audit.

    The methods raise `UnavailableError` if Postgres is unavailable.
    """

    async def create_key(self, new: NewKey, author: Author) -> MadeKey:
        """Create a key for one ingress list; returns it with its secret."""
        ...

    async def keys(self, ingress_list: str | None) -> Sequence[IngressKey]:
        """All keys, or those of one list, newest first."""
        ...

    async def rotate_key(self, key_id: UUID, grace_hours: float, author: Author) -> MadeKey:
        """Create a key that replaces another, which stays valid for at most `grace_hours`."""
        ...

    async def revoke_key(self, key_id: UUID, author: Author) -> IngressKey:
        """Revoke a key; returns it."""
        ...

    async def usage(
        self, key_id: UUID | None, ingress_list: str | None, since: date | None
    ) -> Sequence[Usage]:
        """Usage by key and day, latest day first; at most 1,000 rows."""
        ...

    async def audit_events(
        self, since: datetime | None, before: int | None, limit: int
    ) -> Sequence[AuditEvent]:
        """Audit events, newest first; `before` is the id of the last one on the previous page."""
        ...

    async def audit(
        self, action: str, author: Author, target: str, detail: Mapping[str, Any]
    ) -> None:
        """Record an audit event; must succeed before the audited operation is done."""
        ...


class Pipeline(Protocol):
    """The pipeline. The methods raise errors of `core.errors`."""

    @property
    def ingress_lists(self) -> Sequence[str]:
        """The lists that chains read; what comes in for a disabled one waits."""
        ...

    @property
    def internal(self) -> InternalIngestApi:
        """For internal callers, with or without a key, to any number of lists."""
        ...

    @property
    def partners(self) -> PartnerIngestApi:
        """For partners: the key is checked first, and is valid for one list."""
        ...

    @property
    def operations(self) -> Operations:
        """Dead letters, egress lists, the search index and the run history."""
        ...

    @property
    def vcon_server(self) -> VconServerOperations:
        """The same as vcon-server's clients know it, for the HTTP API."""
        ...

    @property
    def configuration_admin(self) -> ConfigurationAdmin:
        """The running configuration, and its file."""
        ...

    @property
    def partner_admin(self) -> PartnerAdmin:
        """Ingress keys, their usage, and the audit."""
        ...

    @property
    def operator(self) -> OperatorApi:
        """What operators ask for: status, failures, pausing, finding ..."""
        ...

    @property
    def console_sessions(self) -> ConsoleSessions:
        """The sessions of the console."""
        ...

    @property
    def connections(self) -> ConnectionsApi:
        """Tasks and flows over the service's connections."""
        ...

    async def run_chain(
        self,
        chain: str,
        vcon: str | Mapping[str, Any] | bytes,
        wait: float,
        idempotency_key: str | None = None,
        waiting: AbstractContextManager[None] | None = None,
    ) -> Run:
        """Run one chain on one vCon (a uuid or a document); returns the run after at most `wait` s.

        `waiting` is entered while this waits.
        """
        ...

    async def cancel_run(self, run_id: str) -> Run:
        """Stop a run before its next link; returns the run."""
        ...

    async def find_run(self, run_id: str) -> Run:
        """A run, live or of the run history."""
        ...

    async def save(
        self, vcon: str | Mapping[str, Any] | bytes, storages: Sequence[str]
    ) -> list[Step]:
        """Write one vCon to storages now; returns one step for each."""
        ...

    async def find_vcon(self, vcon_uuid: str, storage: str | None) -> dict[str, Any]:
        """A vCon from Redis or any storage, or from the named storage only."""
        ...

    async def chains(self) -> list[ChainSummary]:
        """All chains with their parts and the lengths of their lists."""
        ...


class Records(Protocol):
    """Records services and tokens in Postgres. Does not block: a thread writes the rows."""

    def service_seen(self, service: Service) -> None:
        """Record the present state of a service."""
        ...

    def service_deleted(self, service: Service) -> None:
        """Record that the service was deleted."""
        ...

    def token_seen(self, token: Token) -> None:
        """Record a token; its value, if given, is kept as a hash only."""
        ...

    def token_deleted(self, token: Token) -> None:
        """Record that the token was deleted."""
        ...


class Client(Protocol):
    """The Plugboard client, as passed to actions and events."""

    service: Service | None
    token: Token | None
    num_consumers: int
    credentials: Credentials

    @property
    def actions(self) -> Mapping[str, Any]:
        """The action classes by name: `client.actions["GetRun"](run_id=...)` makes one."""
        ...

    @property
    def events(self) -> Mapping[str, Any]:
        """The event classes by event name."""
        ...

    @property
    def connected(self) -> bool:
        """True while a WebSocket is open."""
        ...

    @property
    def action_timeout(self) -> float:
        """Seconds from the receipt of a request until it is answered 504."""
        ...

    def seconds_left(self) -> float:
        """Seconds that the present request has left."""
        ...

    def giving_way(self) -> AbstractContextManager[None]:
        """For an action that only waits: `with client.giving_way(): await ...`.

        Inside, its request does not count among the MAX_CONCURRENCY running ones.
        """
        ...

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of this service.

        Raises:
            UnavailableError: the service runs without one.
        """
        ...

    @property
    def records(self) -> Records:
        """The recorder of services and tokens."""
        ...

    def accept(self, action: object, fields: object, response_ref: object) -> None:
        """Start or queue a request; its answer is sent later, or a 503 at once."""
        ...

    def retire(self, why: str) -> None:
        """The service was deleted: answer the open requests, leave for good, and end."""
        ...
