"""Large documents on their way into Redis, and old ones on their way out, both in slices.

No script writes or frees a large document, since Redis serves no other client meanwhile. It is
written in pieces under a key of its own, `pc:staged:...`, before the script runs; the script checks
what it always checks and renames that key to `vcon:{uuid}`. What was there before is renamed to
`pc:trash:...`. So a document changes in one step, as before, and whoever reads it sees the old one
or the new one.

`pc:trash` has both kinds of keys from the first moment, by the time from which on they are removed:
what is old at once, what is staged after `STAGED_SECONDS`, unless a script has put it in its place.
So what a process that has died leaves behind goes, too. Each member is the key and, behind a line
break, how it is freed in slices (`document_pieces.Pieces.undo`). Scripts get both as the document,
and keep them in the field `large` of `pc:about:{uuid}` until that document is replaced in its turn.
"""

import threading
import uuid
from collections.abc import Callable, Generator
from typing import Any

import orjson

from core.errors import UnavailableError
from core.helper_process import Offload
from core.thread_pool import in_own_thread
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.document_pieces import Pieces, is_large, pieces_of
from pipeline.redis_client.errors import lacks_memory, note, uncounted

STAGED_SECONDS = 600
"""Within which a staged document is put in its place."""
SLICE = 500
"""Elements of an array, or search terms, that one command removes."""
_ONE_AT_A_TIME = threading.Lock()
_ARRAYS = ("parties", "dialog", "analysis", "attachments")

type Words = tuple[Any, ...]
type Steps = Generator[Words, Any, None]


async def _in_thread[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """For a worker, which answers no requests; one at a time, for the memory."""

    def alone() -> T:
        with _ONE_AT_A_TIME:
            return function(*args, **options)

    return await in_own_thread(alone)


async def staged(
    connection: RedisConnection, text: bytes | str, offload: Offload = _in_thread
) -> bytes | str:
    """What a script is given as the document: a large one was written before.

    `apart`: where the document is divided, which takes its time.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    if not is_large(text):
        return text
    pieces = await offload(pieces_of, text)
    if pieces is None:
        return text
    name = _fresh(pieces)
    try:
        with uncounted():
            await connection.script("stage", name, pieces.first, STAGED_SECONDS)
            steps = _completed(name, pieces)
            reply = None
            while (words := _next(steps, reply)) is not None:
                reply = await connection.command(*words)
    except (CommandRefused, UnavailableError) as error:
        return _instead(text, error)
    return name


def staged_from_thread(connection: RedisConnection, text: bytes | str) -> bytes | str:
    """The same from a thread."""
    pieces = pieces_of(text) if is_large(text) else None
    if pieces is None:
        return text
    name = _fresh(pieces)
    try:
        with uncounted():
            connection.script_from_thread("stage", name, pieces.first, STAGED_SECONDS)
            steps = _completed(name, pieces)
            reply = None
            while (words := _next(steps, reply)) is not None:
                reply = connection.command_from_thread(*words)
    except (CommandRefused, UnavailableError) as error:
        return _instead(text, error)
    return name


def _fresh(pieces: Pieces) -> str:
    return f"{keys.STAGED}{uuid.uuid4().hex}\n{pieces.undo}"


def _instead(text: bytes | str, error: Exception) -> bytes | str:
    """The text itself, where the script may do what the commands may not; else the error is raised.

    Scripts that end runs write also while Redis lacks memory; and not each knows `JSON.MERGE`.
    """
    if isinstance(error, CommandRefused) or lacks_memory(error.__cause__) or _no_merge(error):
        return text
    note(no_memory=False)
    raise error


def _no_merge(error: Exception) -> bool:
    return "json.merge" in str(error.__cause__).casefold()


def _completed(name: str, pieces: Pieces) -> Steps:
    """The commands that complete a document.

    A command that was sent again, as no reply came, may have been executed twice.
    """
    key = name.partition("\n")[0]
    for piece in pieces.then:
        reply = yield (piece.command, key, piece.path, *piece.texts)
        if piece.reply is not None and reply not in (piece.reply, [piece.reply]):
            raise UnavailableError("a large document was not written as it should be")


def _next(steps: Steps, reply: Any) -> Words | None:
    """The next command; None at the end."""
    try:
        return steps.send(reply)
    except StopIteration:
        return None


class Trash:
    """Frees what no document's place needs any more."""

    def __init__(self, connection: RedisConnection) -> None:
        """Any number of replicas may do this at once."""
        self._connection = connection

    async def empty(self) -> None:
        """Remove everything that is due.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        while due := await self._connection.script("due_trash", SLICE):
            for member in due:
                await self._remove(member)

    async def _remove(self, member: str) -> None:
        key, _, undo = member.partition("\n")
        if key.startswith(keys.OLD_TERMS):
            await self._unindex(key)
        else:
            await self._take_apart(key, undo)
        await self._connection.command("UNLINK", key)
        await self._connection.command("ZREM", keys.TRASH, member)

    async def _take_apart(self, key: str, undo: str) -> None:
        for path, length in orjson.loads(undo or "[]"):
            await self._cut(key, path, length)
        for name in _ARRAYS:
            path = f"$.{name}"
            while (length := await self._length(key, path)) > SLICE:
                await self._cut(key, path, length - SLICE)

    async def _cut(self, key: str, path: str, length: int) -> None:
        """Only the first `length` elements stay; what is no array any more stays as it is."""
        ends = (0, length - 1) if length > 0 else (1, 0)
        await self._json("JSON.ARRTRIM", key, path, *ends)

    async def _length(self, key: str, path: str) -> int:
        reply = await self._json("JSON.ARRLEN", key, path)
        return next((each for each in reply or () if isinstance(each, int)), 0)

    async def _json(self, *words: Any) -> Any:
        try:
            return await self._connection.command(*words)
        except CommandRefused:  # it is not there, or another program has written something else
            return None

    async def _unindex(self, key: str) -> None:
        """Search terms of a vCon that an earlier version has indexed without a limit."""
        text = await self._connection.command("GET", key)
        vcon_uuid, _, terms = (text or "\n[]").partition("\n")
        terms = orjson.loads(terms)
        for first in range(0, len(terms), SLICE):
            await self._connection.script("unindex", vcon_uuid, *terms[first : first + SLICE])
