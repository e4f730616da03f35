"""What an action may see of the service, as typing Protocols: no action imports the pipeline."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from core.credentials import Credentials
from schemas.chain import ChainSummary
from schemas.connection import ConnectionSummary
from schemas.dead_letter import DeadLetterPage
from schemas.deletion import Deletion
from schemas.ingested import Ingested
from schemas.ingress_key import AuditEvent, Author, IngressKey, MadeKey, NewKey, Usage
from schemas.run import Run, Step
from schemas.run_page import RunPage, RunQuery
from schemas.service import Service
from schemas.token import Token
from schemas.vcon_page import VconPage

# Where a replica that has left the Plugboard puts its answers, as the client sees it.


class PeerCounts(NamedTuple):
    """The other replicas of a service, as far as they have shown themselves lately."""

    serving: int
    """Those that send the answers of others."""
    leaving: int
    """Those that have left and still work."""


class AnswerRelay(Protocol):
    """A list of answers that every replica of a service serves, and a register of the replicas.

    Except for `next_answer`, which waits for Redis, all raise `UnavailableError` when it is away.
    """

    async def next_answer(self, service_id: int, *, serving: bool) -> str | None:
        """Take the next answer; None after some seconds. `serving` shows this replica as such."""
        ...

    async def hand_over(self, service_id: int, text: bytes) -> None:
        """Put one answer into the list, where it stays for half a minute."""
        ...

    async def leave(self, service_id: int, seconds: float) -> PeerCounts:
        """Show this replica as leaving, for so long; who else is there."""
        ...

    async def deregister(self, service_id: int) -> PeerCounts:
        """Take this replica out of the register; who else is there."""
        ...


# The two ways in for vCons.


class IngestApi(Protocol):
    """The internal or the partner API: both take one vCon in."""

    async def take(self, vcon: object, lists: Sequence[str], api_key: str | None) -> Ingested:
        """Validate, normalise, store, index and enqueue one vCon.

        The vCon is an object, its JSON text as bytes, or gzip of that in base64.
        """
        ...


# What actions may see of connections.


class ConnectionsApi(Protocol):
    """Tasks and flows over the service's connections, as far as callers may run them.

    The two that run something raise `UnknownNameError`, `ForbiddenError` for what is not exposed,
    `InvalidError` for parameters that do not fit, `PluginFailedError` for what fails, and
    `TooLateError`.
    """

    async def connections(self) -> Sequence[ConnectionSummary]:
        """Every connection, tried just now."""
        ...

    async def run_task(
        self, connection: str, task: str, params: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """The outputs of one task."""
        ...

    async def run_flow(
        self, flow: str, inputs: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """What came of a flow: `outputs`, and `terminated` and `reason` after an `exit`."""
        ...


# What administrative and reading actions may see of the pipeline.


class Operations(Protocol):
    """Dead letters, egress, the catalogue and the history of runs.

    Every method raises the errors of `core.errors`, `UnknownNameError` for a name that does not
    exist among them.
    """

    async def runs(self, query: RunQuery) -> RunPage:
        """Remembered runs, newest first."""
        ...

    async def dead_letters(
        self, list_name: str | None, storage: str | None, limit: int, cursor: str | None
    ) -> DeadLetterPage:
        """Entries of one dead-letter list with their reasons, and a count of each cause."""
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
    ) -> int:
        """Queue dead letters again; how many. They go on at the step that failed."""
        ...

    async def enqueue(self, vcon_uuids: Sequence[str], ingress_list: str) -> list[str]:
        """Queue vCons that are here or in a storage; the uuids that nobody has."""
        ...

    async def read_egress(self, egress_list: str, limit: int, lease_seconds: int) -> list[str]:
        """Uuids from an egress list; they come back unless acknowledged in time."""
        ...

    async def acknowledge(self, egress_list: str, vcon_uuids: Sequence[str]) -> int:
        """The reader has these; how many were lent out until now."""
        ...

    async def vcons(
        self, since: float | None, until: float | None, limit: int, cursor: str | None
    ) -> VconPage:
        """Uuids by `created_at` (epoch seconds), newest first."""
        ...

    async def search(self, terms: Sequence[str], limit: int, cursor: str | None) -> VconPage:
        """Uuids of the vCons for which every term (`tel:...`) holds."""
        ...

    async def delete(self, vcon_uuid: str, storages: Sequence[str]) -> Deletion:
        """Remove a vCon from Redis and from those of the storages named that can delete."""
        ...


# What administrative actions may see of partners: their keys, their usage and the audit.


class PartnerAdmin(Protocol):
    """Keys of partners and what was done with them.

    Every method raises `UnavailableError` when Postgres cannot be reached.
    """

    async def create_key(self, new: NewKey, author: Author) -> MadeKey:
        """A key that opens one ingress list, with its secret."""
        ...

    async def keys(self, ingress_list: str | None) -> Sequence[IngressKey]:
        """Every key, or every key of one list, the newest first."""
        ...

    async def rotate_key(self, key_id: UUID, grace_hours: float, author: Author) -> MadeKey:
        """A new key in the place of another, which works for `grace_hours` more at most."""
        ...

    async def revoke_key(self, key_id: UUID, author: Author) -> IngressKey:
        """The key, which no longer works."""
        ...

    async def usage(
        self, key_id: UUID | None, ingress_list: str | None, since: date | None
    ) -> Sequence[Usage]:
        """Usage by key and day, the latest day first; at most 1,000 rows."""
        ...

    async def audit_events(
        self, since: datetime | None, before: int | None, limit: int
    ) -> Sequence[AuditEvent]:
        """Audit events, the newest first; `before` is the id of the last one already seen."""
        ...

    async def audit(
        self, action: str, author: Author, target: str, detail: Mapping[str, Any]
    ) -> None:
        """Write down what is about to be done; nothing that needs it is done without."""
        ...


class Pipeline(Protocol):
    """The chain wing. Every method raises the errors of `core.errors`."""

    @property
    def internal(self) -> IngestApi:
        """For callers with or without a key, to any number of lists."""
        ...

    @property
    def partners(self) -> IngestApi:
        """For partners: the key is checked before anything else, and opens one list."""
        ...

    @property
    def operations(self) -> Operations:
        """Dead letters, egress, the catalogue and the history."""
        ...

    @property
    def partner_admin(self) -> PartnerAdmin:
        """Partners' keys, their usage, and the audit."""
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
        """Run one chain on one vCon (a uuid or a document); the run after at most `wait` s.

        `waiting` is entered for that time.
        """
        ...

    async def cancel_run(self, run_id: str) -> Run:
        """Stop a run before its next link; the run after that."""
        ...

    async def find_run(self, run_id: str) -> Run:
        """A running or finished run."""
        ...

    async def save(
        self, vcon: str | Mapping[str, Any] | bytes, storages: Sequence[str]
    ) -> list[Step]:
        """Write one vCon to storages now; one step each."""
        ...

    async def find_vcon(self, vcon_uuid: str, storage: str | None) -> dict[str, Any]:
        """A vCon from Redis or any storage, or from exactly the storage named."""
        ...

    async def chains(self) -> list[ChainSummary]:
        """Every chain with its parts and how much waits for it."""
        ...


class Records(Protocol):
    """Where the Plugboard's news is written down. Never blocks: the writing happens elsewhere."""

    def service_seen(self, service: Service) -> None:
        """The service exists like this."""
        ...

    def service_deleted(self, service: Service) -> None:
        """The service was deleted."""
        ...

    def token_seen(self, token: Token) -> None:
        """The token exists; its value, when present, is kept only as a hash."""
        ...

    def token_deleted(self, token: Token) -> None:
        """The token was deleted."""
        ...


class Client(Protocol):
    """The Plugboard client as actions and events see it."""

    service: Service | None
    token: Token | None
    num_consumers: int
    credentials: Credentials

    @property
    def actions(self) -> Mapping[str, Any]:
        """The classes of the actions by name: `client.actions["GetRun"](run_id=...)` makes one."""
        ...

    @property
    def events(self) -> Mapping[str, Any]:
        """The classes of the events by their names on the wire."""
        ...

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        ...

    @property
    def action_timeout(self) -> float:
        """Seconds that a request gets, from its receipt; then it is answered with 504."""
        ...

    def seconds_left(self) -> float:
        """Of those, what is left to the present request."""
        ...

    def giving_way(self) -> AbstractContextManager[None]:
        """For an action that only waits for something: `with client.giving_way(): await ...`.

        Inside, its request does not count among the MAX_CONCURRENCY that run.
        """
        ...

    @property
    def pipeline(self) -> Pipeline:
        """The chain wing.

        Raises:
            UnavailableError: when this service was started without one.
        """
        ...

    @property
    def records(self) -> Records:
        """Where to write down what the Plugboard says."""
        ...

    def accept(self, action: object, fields: object, response_ref: object) -> None:
        """Take on one request; the answer is sent when it is there."""
        ...

    def retire(self, why: str) -> None:
        """This service is no more: finish what runs, leave, and end."""
        ...
