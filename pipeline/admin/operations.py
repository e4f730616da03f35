"""Operations on dead letters, egress lists, stored vCons and the history of runs."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from core.errors import ConflictError, InvalidError, PluginFailedError, UnknownNameError
from pipeline.admin.dead_letters import DeadLetters, Destination, Selection
from pipeline.admin.egress import Egress
from pipeline.admin.runs import RunListing
from pipeline.admin.vcon_index import VconIndex
from pipeline.config.lists import check_unread, lists_of
from pipeline.ingest.intake import Intake
from pipeline.ingest.vcon_hooks import VconHooks
from pipeline.live_config import Configuration
from pipeline.plugins.errors import describe
from pipeline.plugins.loader import LoadedStorage
from pipeline.redis_client import keys
from pipeline.runs.calls import PluginCalls
from pipeline.storages.lookup import VconLookup, checked_uuid
from schemas.dead_letter import DeadLetter, DeadLetterPage, Uncertain
from schemas.deletion import Deletion
from schemas.run import Step, StepKind
from schemas.run_page import RunPage, RunQuery
from schemas.vcon_page import VconPage

CANNOT_DELETE = "it cannot delete: its module has no delete()"
HOW = (
    "say whether that step is repeated (uncertain: repeat), or the run goes on after it "
    "(uncertain: skip)"
)


class UncertainLeftError(InvalidError):
    """Nothing was replayed, since it is not said what happens to steps that may have happened."""


def _refuse_withheld(list_name: str | None) -> None:
    name = keys.dead_letters(list_name or "")
    if name.startswith(keys.WITHHELD):
        before = name.removeprefix(keys.WITHHELD)
        msg = (
            f"{list_name} has withheld vCons, not dead letters: release them, which evaluates the"
            f" law again (ReleaseWithheld, or `release --list {before}`)"
        )
        raise ConflictError(msg)


def left(count: int) -> str:
    """What is told of dead letters that stay."""
    some = "1 dead letter has a step" if count == 1 else f"{count} dead letters have steps"
    return f"{some} that may have happened: {HOW}"


class PipelineOperations:
    """Implements `core.interfaces.Operations`."""

    def __init__(
        self,
        configuration: Configuration,
        dead_letters: DeadLetters,
        egress: Egress,
        index: VconIndex,
        intake: Intake,
        lookup: VconLookup,
        calls: PluginCalls,
        runs: RunListing,
        hooks: VconHooks | None = None,
    ) -> None:
        """`hooks` are told of vCons that are deleted."""
        self._hooks = hooks
        self._configuration = configuration
        self.letter_lists = dead_letters
        self.egress = egress
        self.index = index
        self._intake = intake
        self._lookup = lookup
        self._calls = calls
        self._runs = runs

    async def runs(self, query: RunQuery) -> RunPage:
        """Runs that have ended, or those of the status requested, newest first."""
        return await self._runs.list_runs(query)

    async def dead_letters(
        self, list_name: str | None, storage: str | None, limit: int, cursor: str | None
    ) -> DeadLetterPage:
        """Entries of one dead-letter list with their reasons, and a count of each cause."""
        name = await self.letters(list_name, storage)
        return await self.letter_lists.page(name, cursor, limit)

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
        """Queue dead letters again, at the step that failed; how many.

        Raises:
            ConflictError: the list is that of withheld vCons, which are released.
            UncertainLeftError: none was queued, and those that might be need `uncertain`.
            GoneError: one of those named was erased; none was queued.
        """
        _refuse_withheld(list_name)
        named = None if vcon_uuids is None else [checked_uuid(each) for each in vcon_uuids]
        selection = Selection(
            destination=lambda letter: self._destination(letter, list_name, storage),
            limit=limit,
            vcon_uuids=named,
            cause=cause,
            from_start=from_start,
            uncertain=uncertain,
        )
        await self._lookup.check_erased(*named or ())
        name = await self.letters(list_name, storage)
        runs = await self.letter_lists.replay(name, selection)
        if selection.unsure and not runs:
            raise UncertainLeftError(left(len(selection.unsure)))
        return len(runs)

    def destination(self, letter: DeadLetter, letters: str) -> Destination | None:
        """Where an entry of a dead-letter list is queued again; None while no chain reads that."""
        storage = letters.removeprefix(keys.STORAGE_DEAD_LETTERS)
        if storage != letters:
            return self._destination(letter, None, storage)
        return self._destination(letter, letters.removeprefix(keys.DEAD_LETTERS), None)

    async def replay_storage(self, storage: str, limit: int) -> list[str]:
        """Queue the oldest dead letters of a storage again; the ids of the new runs."""
        selection = Selection(lambda letter: self._destination(letter, None, storage), limit)
        return await self.letter_lists.replay(keys.storage_dead_letters(storage), selection)

    async def letters(self, list_name: str | None, storage: str | None) -> str:
        """The dead-letter list; that of a list or storage no longer configured while it lasts."""
        config = self._configuration.config
        if storage is not None:
            kind, wanted, known = "storage", storage, list(config.storages)
            name = keys.storage_dead_letters(storage)
        else:
            kind, wanted, known = "ingress list", str(list_name), lists_of(config).ingress
            name = keys.dead_letters(wanted)
        if wanted not in known and not await self.letter_lists.count(name):
            raise UnknownNameError(kind, wanted, known)
        return name

    def _destination(
        self, letter: DeadLetter, list_name: str | None, storage: str | None
    ) -> Destination | None:
        """The list an entry came from, as long as an enabled chain reads it.

        vcon-server leaves no run with its dead letters of a storage: those go to the chain that
        writes to it, at the step of that storage; one without egress lists if there are several.
        """
        config = self._configuration.config
        name = letter.list_name or list_name or ""
        runs = {keys.run_list(chain.name): chain for chain in config.enabled_chains}
        chain = config.chain_reading(name) or runs.get(name)
        if chain is None and storage is not None and letter.run_id is None:
            return self._of_storage(storage)
        return Destination(name, chain.name) if chain else None

    def _of_storage(self, storage: str) -> Destination | None:
        chains = [
            chain
            for chain in self._configuration.config.enabled_chains
            if any(each.name == storage for each in chain.storages)
        ]
        quiet = [chain for chain in chains if not chain.egress_lists]
        if not quiet and len(chains) != 1:
            return None
        [chain, *_] = quiet or chains
        done = [_done(link.name, "link") for link in chain.links]
        done += [_done(each.name, "storage") for each in chain.storages if each.name != storage]
        return Destination(keys.run_list(chain.name), chain.name, done)

    async def enqueue(
        self,
        vcon_uuids: Sequence[str],
        ingress_list: str,
        *,
        any_list: bool = False,
        fetching: AbstractAsyncContextManager[None] | None = None,
    ) -> list[str]:
        """Queue vCons in Redis or in a storage; return the uuids found in neither.

        Raises:
            UnknownNameError: for a list that no chain names, unless `any_list`.
            InvalidError: one is signed or encrypted, and its chain does not take such; or no list
                may have this name.
            FullError: the list has no room for all of them. In each case none is queued.
        """
        config = self._configuration.config
        chain = config.chain_taking(ingress_list)
        if chain is None:
            check_unread(config, ingress_list, any_list=any_list)
        wanted = list(dict.fromkeys(map(checked_uuid, vcon_uuids)))
        here = await self.index.present(wanted)
        async with fetching or nullcontext():
            unknown = {each for each in wanted if each not in here and not await self._fetch(each)}
        found = [each for each in wanted if each not in unknown]
        gone = await self._intake.enqueue(found, ingress_list, chain) if found else []
        return [each for each in wanted if each in unknown or each in gone]

    async def _fetch(self, vcon_uuid: str) -> bool:
        try:
            await self._lookup.bring_back(vcon_uuid)
        except UnknownNameError:
            return False
        return True

    async def read_egress(self, egress_list: str, limit: int, lease_seconds: int) -> list[str]:
        """Lease uuids of an egress list; they return to it unless acknowledged in time."""
        self.check_egress(egress_list)
        return await self.egress.read_many(egress_list, limit, lease_seconds)

    async def acknowledge(self, egress_list: str, vcon_uuids: Sequence[str]) -> int:
        """End the leases of these uuids; how many were leased."""
        self.check_egress(egress_list)
        return await self.egress.acknowledge(egress_list, vcon_uuids)

    def check_egress(self, name: str, *, is_free: bool = False) -> None:
        """Refuse a list that is not for readers; one not in the configuration is, if `is_free`.

        Raises:
            UnknownNameError: it is no egress list.
            InvalidError: a chain reads it, or would if it were not broken.
        """
        config = self._configuration.config
        known = lists_of(config).egress
        if name not in known and not is_free:
            raise UnknownNameError("egress list", name, known)
        if (chain := config.chain_taking(name)) and chain.enabled:
            msg = f"{name} is not for readers: chain {chain.name} reads it"
            raise InvalidError(msg)

    async def vcons(
        self, since: float | None, until: float | None, limit: int, cursor: str | None
    ) -> VconPage:
        """Uuids by `created_at`, newest first."""
        return await self.index.page(since, until, limit, cursor)

    async def search(self, terms: Sequence[str], limit: int, cursor: str | None) -> VconPage:
        """Uuids of the vCons for which every term (`tel:...`) holds."""
        if not terms:
            msg = "give at least one of tel, mailto, name"
            raise InvalidError(msg)
        return await self.index.search(terms, limit, cursor)

    async def delete(self, vcon_uuid: str, storages: Sequence[str]) -> Deletion:
        """Remove a vCon from Redis and from those of the storages named that can delete.

        Raises:
            UnknownNameError: for a storage that does not exist, or when no place had the vCon.
            BusyError: while the vCon is being processed. In both cases nothing is removed.
        """
        for name in storages:
            await self._lookup.storage(name)
        deletion = await self.remove(vcon_uuid, storages)
        if not deletion.failed and not any(deletion.removed.values()):
            raise UnknownNameError("vCon", checked_uuid(vcon_uuid))
        return deletion

    async def remove(self, vcon_uuid: str, storages: Sequence[str]) -> Deletion:
        """The same for a vCon that may be nowhere; a storage that cannot be loaded has failed.

        Raises:
            ConflictError: while the vCon is being processed; nothing is removed.
        """
        vcon_uuid = checked_uuid(vcon_uuid)
        lists = lists_of(self._configuration.config).all
        deletion = Deletion({"redis": await self.index.delete(vcon_uuid, lists)})
        for name in dict.fromkeys(storages):
            try:
                storage = await self._lookup.storage(name)
            except (PluginFailedError, UnknownNameError) as error:
                deletion.failed[name] = str(error)
            else:
                await self._delete_from(storage, vcon_uuid, deletion)
        await self.index.note_removed(vcon_uuid, list(deletion.removed))
        if self._hooks is not None and any(deletion.removed.values()):
            self._hooks.deleted(vcon_uuid)
        return deletion

    async def _delete_from(
        self, storage: LoadedStorage, vcon_uuid: str, deletion: Deletion
    ) -> None:
        """Delete from one storage; its failure is recorded, so that the next ones are tried too."""
        name, removed = storage.name, deletion.removed
        if storage.delete is None:
            deletion.failed[name] = CANNOT_DELETE
            return
        try:
            was_there = await self._calls.call(
                storage.delete,
                *(vcon_uuid, storage.fresh_options()),
                is_async=storage.is_async,
                timeout=storage.seconds,
                plugin={"storage": storage.name},
            )
        except Exception as error:  # noqa: BLE001 -- any error of a plugin is the outcome for it
            deletion.failed[name] = describe(error)
        else:  # a storage may be named redis, too
            removed[name] = removed.get(name, False) or bool(was_there)


def _done(name: str, kind: StepKind) -> Step:
    return Step(name=name, kind=kind, outcome="ok", seconds=0)
