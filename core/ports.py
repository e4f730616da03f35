"""What an action may see of the service, as typing Protocols: no action imports the pipeline."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from core.credentials import Credentials
from core.ports_connections import ConnectionDesk
from core.ports_operations import Operations
from core.ports_partners import PartnerDesk
from schemas.chain import ChainSummary
from schemas.ingested import Ingested
from schemas.run import Run, Step
from schemas.service import Service
from schemas.token import Token


class Pipeline(Protocol):
    """The chain wing. Every method raises the errors of `core.errors`."""

    @property
    def operations(self) -> Operations:
        """Dead letters, egress, the catalogue and the history."""
        ...

    @property
    def desk(self) -> PartnerDesk:
        """Partners' keys, their usage, and the audit."""
        ...

    @property
    def connections(self) -> ConnectionDesk:
        """Tasks and flows over the service's connections."""
        ...

    async def ingest(
        self, vcon: Mapping[str, Any] | bytes, ingress_lists: Sequence[str], api_key: str | None
    ) -> Ingested:
        """Validate, normalise, store, index and enqueue one vCon."""
        ...

    async def ingest_external(self, vcon: object, ingress_list: str, api_key: str) -> Ingested:
        """Take one vCon in from a partner: the key is checked before anything else."""
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
