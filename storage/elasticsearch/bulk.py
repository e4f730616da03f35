"""Bulk requests: the changes of several vCons in one, and each vCon's part of the answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lib.web.answers import reading
from lib.web.http_retry import VendorError, status_of

SERVER = "Elasticsearch"
MOST_VCONS = 100
"""vCons of one request."""
MOST_BYTES = 10 * 1024 * 1024
"""Bytes of one request, unless one vCon is larger."""

type Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a bulk request is to change for one vCon; an operation is its lines."""

    name: str
    operations: Sequence[bytes]

    @property
    def size(self) -> int:
        """The bytes of the operations."""
        return sum(map(len, self.operations))


class RefusedError(VendorError):
    """The server has refused operations of a vCon; `left` are to be sent again.

    `status_code` is 429 if all of them may succeed later: then `call_vendor` repeats them.
    """

    def __init__(self, text: str, left: Changes, *, is_transient: bool) -> None:
        super().__init__(text, peer_failed=is_transient)
        self.left = left
        self.status_code = 429 if is_transient else None


async def sent(
    send: Callable[[Sequence[bytes]], Awaitable[Answer]], given: Sequence[Changes]
) -> list[Exception | None]:
    """Send the changes of several vCons in one request; the error of each, or None."""
    answer = await send([operation for each in given for operation in each.operations])
    with reading(SERVER, "the results of a bulk request", answer):
        if not answer["errors"]:
            return [None] * len(given)
        items = iter(answer["items"])  # in the order of the operations
        return [_refusal(each, list(islice(items, len(each.operations)))) for each in given]


def splits(error: Exception) -> bool:
    """Whether the server refused a request as a whole for what may be the fault of one vCon."""
    status = status_of(error)
    return status is not None and 400 <= status < 500 and status not in (401, 403, 429)


def _refusal(changes: Changes, items: list[dict[str, Any]]) -> RefusedError | None:
    outcomes = [outcome for item in items for outcome in item.values()]
    failed = [number for number, outcome in enumerate(outcomes) if "error" in outcome]
    if not failed:
        return None
    first = outcomes[failed[0]]
    # the type of the error, without its content
    kind = f"the first ({first['_index']}) for {first['error'].get('type', '')}"
    return RefusedError(
        f"{SERVER} refused {len(failed)} of {len(items)} parts, {kind}",
        Changes(changes.name, [changes.operations[number] for number in failed]),
        is_transient=all(_may_succeed(outcomes[number]) for number in failed),
    )


def _may_succeed(outcome: dict[str, Any]) -> bool:
    status: int = outcome["status"]
    return status == 429 or status >= 500
