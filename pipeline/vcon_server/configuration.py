"""Showing and replacing the configuration: `GET /config` and `POST /config`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import yaml

from core.concurrency.thread_pool import in_own_thread
from core.errors import ConfigurationError, InvalidError, MalformedError, TooLargeError
from core.operation_interfaces import MOST_CONFIGURATION_BYTES
from pipeline.config.masking import Masks, Unmasking, mask_key, once
from pipeline.config.writing import ConfigFile, yaml_text
from pipeline.live_config import Configuration, Snapshot
from schemas.ingress_key import Author

log = logging.getLogger(__name__)

MOST_NAMES = 100
"""Names of chains in an audit event."""

type Taken = Callable[[], Awaitable[None]]
type Audit = Callable[[str, Author, str, Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A valid draft of the file."""

    path: Path
    configuration: Configuration


class ConfigurationAdmin:
    """Implements `core.operation_interfaces.ConfigurationAdmin`.

    Posts are carried out one after the other, also those of other processes on the same file. A
    replaced file is noticed by other running processes as any other change of it.
    """

    def __init__(self, snapshot: Snapshot, secret: str, audit: Audit, taken: Taken) -> None:
        """The key of the masks is made of `secret`, which all replicas share.

        `taken` returns once this process has read the file again.
        """
        self._taken = taken
        self._snapshot = snapshot
        self._file = ConfigFile(snapshot.original)
        self._secret = secret
        self._audit = audit
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @cached_property
    def _key(self) -> bytes:
        return mask_key(self._secret)

    async def masked(self) -> dict[str, Any]:
        """The running configuration, unfilled, with masks; blocks a thread for the YAML."""
        shown: dict[str, Any] = await in_own_thread(self._masked)
        return shown

    def _masked(self) -> dict[str, Any]:
        shown: dict[str, Any] = Masks(self._key).document(yaml.safe_load(self._snapshot.content))
        return shown

    async def replace(self, content: bytes, author: Author) -> None:
        """Check the whole configuration as a start does, then replace the file; audited.

        It is in force in this process when this returns.

        Raises:
            InvalidError: with all problems; or the content is no JSON object.
            TooLargeError: it has more than `MOST_CONFIGURATION_BYTES`.
            BusyError: another process is replacing the file.
            UnavailableError: the file cannot be written, or Postgres has no audit for it.
        """
        if len(content) > MOST_CONFIGURATION_BYTES:
            msg = f"the configuration has more than {MOST_CONFIGURATION_BYTES} bytes"
            raise TooLargeError(msg)
        posted = _parsed(content)
        async with self._turn:
            self._task = asyncio.create_task(self._replace(posted, author))
            await asyncio.shield(self._task)  # a caller that goes away leaves nothing half done

    async def _replace(self, posted: dict[str, Any], author: Author) -> None:
        with contextlib.ExitStack() as held:
            held.enter_context(self._file.locked())
            checked = await in_own_thread(self._draft, posted, held)
            config = checked.configuration.config
            detail = {"hash": config.hash, "chains": list(config.chains)[:MOST_NAMES]}
            name = self._snapshot.original.name
            await self._audit("ReplaceConfiguration", author, f"file:{name}", detail)
            await in_own_thread(self._file.install, checked.path)
        log.info("configuration replaced", extra={"hash": config.hash})
        await self._taken()

    def _draft(self, posted: dict[str, Any], held: contextlib.ExitStack) -> _Checked:
        """Write and check the draft; `held` removes it."""
        current = yaml.safe_load(self._snapshot.content)
        document = Unmasking(once(self._values())).document(posted, current)
        path = held.enter_context(self._file.draft(yaml_text(document)))
        try:
            return _Checked(path, self._snapshot.check_change(path))
        except ConfigurationError as error:
            problems = [each.replace(str(path), "the configuration") for each in error.problems]
            raise InvalidError("the configuration is not valid", problems) from None

    def _values(self) -> Iterator[Mapping[str, Any]]:
        """The values of masks: of the running configuration, of the file, of its backups."""
        yield self._values_of(self._snapshot.content)
        for path in (self._file.path, *self._file.backups()):
            with contextlib.suppress(OSError, yaml.YAMLError, ValueError, TooLargeError):
                yield self._values_of(path.read_bytes())

    def _values_of(self, content: bytes) -> Mapping[str, Any]:
        masks = Masks(self._key)
        masks.document(yaml.safe_load(content))
        return masks.values


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        posted = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedError(error.msg, error.pos) from None
    if not isinstance(posted, dict):
        raise InvalidError("the configuration must be an object")
    return posted
