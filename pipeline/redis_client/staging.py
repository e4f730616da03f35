"""Writing and freeing large documents in slices, so that Redis keeps serving other clients.

Redis executes one command or script at a time. Parsing or freeing 8 MB of JSON takes it up to a
quarter of a second, in which no worker can renew its lease. So no script parses or frees a large
document (`document_pieces.is_large`).

Writing, three steps:
1. `stage.lua` writes the document's first piece under a key of its own, `pc:staged:{id}`, and
   registers that key in the sorted set `pc:trash`, to be removed after `STAGED_SECONDS`.
2. Further commands append the other pieces. The length that Redis replies is compared with the
   expected one: a command that was sent again after a lost reply may have been executed twice.
3. The script that would have parsed the document (ingest, journal, settle, place, restore) gets the
   staged key in its place. It makes its usual checks, then renames `vcon:{uuid}` to `pc:trash:{id}`
   and the staged key to `vcon:{uuid}`. Renaming takes no time, and readers see the old document or
   the new one.

Freeing: `Trash.empty` takes the due members of `pc:trash`, cuts their arrays slice by slice, and
unlinks what is left. A member is the key, a line break, and the cuts that free it
(`document_pieces.Pieces.undo`). The same text stands in the field `large` of `pc:about:{uuid}`
while the document is in use.

If a process dies after step 1 or 2, the staged key is freed when it is due. If it dies after step
3, nothing is left to do. If step 3 is repeated after a lost reply, the script finds the text in
`large` and reports success. A script that finds its staged key gone changes nothing (`TRYAGAIN`).
"""

import uuid
from collections.abc import Generator
from typing import Any

import orjson

from core.concurrency.helper_process import Offload
from core.concurrency.thread_pool import one_at_a_time
from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.document_pieces import Pieces, is_large, pieces_of
from pipeline.redis_client.errors import lacks_memory, note, uncounted

STAGED_SECONDS = 600
"""Seconds until a staged document that no script has renamed is removed."""
SLICE = 500
"""Elements of an array, or search terms, that one command removes."""
_ARRAYS = ("parties", "dialog", "analysis", "attachments")

type Words = tuple[Any, ...]
type Steps = Generator[Words, Any, None]


async def staged(
    connection: RedisConnection,
    text: bytes | str,
    offload: Offload = one_at_a_time,
    pieces: Pieces | None = None,
) -> bytes | str:
    """The argument for a script's document: the text, or the key of a staged large one.

    `offload` runs the division into pieces, which takes up to a second; `pieces` are those of this
    text if it has been divided already.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    if pieces is None and is_large(text):
        pieces = await offload(pieces_of, text)
    if pieces is None:
        return text
    name = _fresh(pieces, text)
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
    """`staged`, from a thread."""
    pieces = pieces_of(text) if is_large(text) else None
    if pieces is None:
        return text
    name = _fresh(pieces, text)
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


def _fresh(pieces: Pieces, text: bytes | str) -> str:
    """A key for a staged document, with its size, which a claim reads from the field `large`."""
    return f"{keys.STAGED}{uuid.uuid4().hex}:{len(text)}\n{pieces.undo}"


def _instead(text: bytes | str, error: Exception) -> bytes | str:
    """The text itself, where the script may succeed though the commands did not; else raises.

    Scripts that end runs may write while Redis has no memory, and RedisJSON before 2.6 has no
    `JSON.MERGE`.
    """
    if isinstance(error, CommandRefused) or lacks_memory(error.__cause__) or _no_merge(error):
        return text
    note(no_memory=False)
    raise error


def _no_merge(error: Exception) -> bool:
    return "json.merge" in str(error.__cause__).casefold()


def _completed(name: str, pieces: Pieces) -> Steps:
    """The commands that append the further pieces; each is sent the reply of its command."""
    key = name.partition("\n")[0]
    for piece in pieces.then:
        reply = yield (piece.command, key, piece.path, *piece.texts)
        if piece.reply is not None and reply not in (piece.reply, [piece.reply]):
            raise UnavailableError(
                "a large document was written incompletely: a command was lost or repeated"
            )


def _next(steps: Steps, reply: Any) -> Words | None:
    """The next command; None after the last."""
    try:
        return steps.send(reply)
    except StopIteration:
        return None


class Trash:
    """Frees replaced and unused documents in slices; any number of replicas may do so at once."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def empty(self) -> None:
        """Remove every member of `pc:trash` that is due.

        Raises:
            UnavailableError: Redis cannot be reached.
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
        """Keep the first `length` elements of an array; anything else is left unchanged."""
        ends = (0, length - 1) if length > 0 else (1, 0)
        await self._json("JSON.ARRTRIM", key, path, *ends)

    async def _length(self, key: str, path: str) -> int:
        reply = await self._json("JSON.ARRLEN", key, path)
        return next((each for each in reply or () if isinstance(each, int)), 0)

    async def _json(self, *words: Any) -> Any:
        try:
            return await self._connection.command(*words)
        except CommandRefused:  # the key is gone, or another program has replaced it
            return None

    async def _unindex(self, key: str) -> None:
        """Remove a vCon from its search terms, which earlier versions did not limit."""
        text = await self._connection.command("GET", key)
        vcon_uuid, _, terms = (text or "\n[]").partition("\n")
        terms = orjson.loads(terms)
        for first in range(0, len(terms), SLICE):
            await self._connection.script("unindex", vcon_uuid, *terms[first : first + SLICE])
