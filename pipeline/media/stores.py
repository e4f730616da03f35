"""What a store of media bodies does; the stores are in the files beside this one.

A body is stored under the uuid of its vCon and its name. Nothing is ever changed under a name, so
writing it again and removing it again are harmless.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from core.concurrency.thread_pool import in_own_thread
from core.errors import PluginFailedError, UnavailableError
from pipeline.media.bodies import is_text_of


class MediaAwayError(UnavailableError):
    """The store of media bodies does not answer; try again later."""


class MediaGoneError(PluginFailedError):
    """A body of a vCon is not in its store any more, or is damaged."""


class MediaStore(Protocol):
    """One store; the methods without `_from_thread` are for the event loop."""

    kind: ClassVar[str]

    async def put(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """Write a body; it is durable when this returns.

        Raises:
            UnavailableError: the store does not answer.
        """

    def put_from_thread(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """`put`, from a thread."""

    async def get(self, vcon_uuid: str, name: str) -> bytes | str | None:
        """A body, or None if the store does not have it.

        Raises:
            UnavailableError: the store does not answer.
        """

    def get_from_thread(self, vcon_uuid: str, name: str) -> bytes | str | None:
        """`get`, from a thread."""

    async def names(self, vcon_uuid: str) -> list[str]:
        """The names of all bodies of a vCon.

        Raises:
            UnavailableError: the store does not answer.
        """

    async def remove(self, vcon_uuid: str, names: Sequence[str]) -> None:
        """Remove bodies of a vCon.

        Raises:
            UnavailableError: the store does not answer.
        """


class BlockingStore:
    """A store with blocking calls: on the event loop each runs in a thread of its own."""

    def put_from_thread(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """See `MediaStore`."""
        raise NotImplementedError

    def get_from_thread(self, vcon_uuid: str, name: str) -> bytes | None:
        """See `MediaStore`; what does not fit its name is as good as gone."""
        text = self._get(vcon_uuid, name)
        return text if text is not None and is_text_of(name, text) else None

    def _get(self, vcon_uuid: str, name: str) -> bytes | None:
        raise NotImplementedError

    def _names(self, vcon_uuid: str) -> list[str]:
        raise NotImplementedError

    def _remove(self, vcon_uuid: str, names: Sequence[str]) -> None:
        raise NotImplementedError

    async def put(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """See `MediaStore`."""
        await in_own_thread(self.put_from_thread, vcon_uuid, name, text)

    async def get(self, vcon_uuid: str, name: str) -> bytes | None:
        """See `MediaStore`."""
        return await in_own_thread(self.get_from_thread, vcon_uuid, name)

    async def names(self, vcon_uuid: str) -> list[str]:
        """See `MediaStore`."""
        return await in_own_thread(self._names, vcon_uuid)

    async def remove(self, vcon_uuid: str, names: Sequence[str]) -> None:
        """See `MediaStore`."""
        await in_own_thread(self._remove, vcon_uuid, names)
