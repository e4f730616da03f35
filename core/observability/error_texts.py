"""Texts of errors in places that no erasure reaches.

The error of a plugin may repeat what a conversation says. In the records of its run an erasure
removes it. Log lines, and the last error of a destination, are not those of one vCon: while a
configuration with a section `law` is in force, they have the type of an error and no text.
"""

import re
import traceback
from typing import Final

ELSEWHERE: Final = " (text in the run's record)"
_TYPE = re.compile(r"[A-Za-z_][\w.]*(?=:|$)", re.ASCII)
_MOST_LINKED = 20
"""Errors of one traceback that are shown: each is the cause or the context of the one before."""


class _Rule:
    """Whether texts are kept out: of the whole process, as its log is."""

    keeps_out = False


def keep_out(*, yes: bool) -> None:
    """Keep texts of errors out of these places from now on, or no longer."""
    _Rule.keeps_out = yes


def are_kept_out() -> bool:
    """Whether a configuration with a section `law` is in force."""
    return _Rule.keeps_out


def outside(text: str) -> str:
    """The text of an error (`Type: message`) for such a place."""
    if not _Rule.keeps_out or text.endswith(ELSEWHERE):
        return text
    found = _TYPE.match(text)
    return f"{found[0] if found else 'error'}{ELSEWHERE}"


def frames(error: BaseException) -> str:
    """The traceback of an error without any text of an error. May raise what plugins' code does."""
    parts: list[str] = []
    each: BaseException | None = error
    while each is not None and len(parts) < _MOST_LINKED:
        parts.append("".join(traceback.format_tb(each.__traceback__)) + type(each).__name__)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\nraised while handling\n".join(parts)
