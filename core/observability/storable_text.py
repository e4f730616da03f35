"""Converts external text to a form that JSON, UTF-8, Redis and Postgres can store.

Error texts, file names and tags come from plugins and libraries. They may contain unpaired
surrogates (`os.fsdecode` makes such of a Latin-1 name), NUL, or megabytes. Every record with such
text is made here, so that no text can prevent the end of a run.
"""

from collections.abc import Mapping, Set
from typing import Any

import orjson

from core.observability.redaction import error_text

LONGEST = 500
"""Characters of an error or a name in a record."""
REPLACEMENT = "\ufffd"
_CUT = " ..."
_SEARCHED = 20_000
"""Characters of an error's text that are searched for secrets; the longest keys have 4,000."""
_EXCEPTIONS = vars(BaseExceptionGroup)["exceptions"].__get__
_NAME = vars(type)["__name__"].__get__
"""The interpreter's own attribute: a class may define code under the same name."""
_DEEPEST = 100
"""Levels of a structure; orjson writes 254."""


def storable_text(text: str, longest: int | None = None) -> str:
    """The text with U+FFFD for NUL and for unpaired surrogates.

    A text longer than `longest` characters is cut and ends in `...`.
    """
    if longest is not None and len(text) > longest:
        text = text[: longest - len(_CUT)] + _CUT
    text = text.replace("\0", REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def storable(value: Any, deepest: int = _DEEPEST) -> Any:
    """The structure with storable texts, and with text for values that JSON cannot represent."""
    match value:
        case str():
            return storable_text(value)
        case None | bool() | float():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else text_of(value, LONGEST)
        case Mapping() if deepest:
            return {text_of(key): storable(each, deepest - 1) for key, each in value.items()}
        case list() | tuple() | Set() if deepest:
            return [storable(each, deepest - 1) for each in value]
        case _:
            return text_of(value, LONGEST)


def storable_json(value: Any) -> bytes:
    """A structure as JSON that every store accepts; copied only if something must be replaced."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # an unpaired surrogate, or a value that JSON cannot represent
        return orjson.dumps(storable(value))
    return orjson.dumps(storable(orjson.loads(text))) if b"\\u0000" in text else text


def described(error: BaseException) -> str:
    """An error as one storable line, `Type: text`, without secrets; only the type without a text.

    The line goes into records, answers and dead letters, so it is redacted as a log line is, before
    it is cut. A group of errors is described by its first error.
    """
    while inner := members_of(error):
        error = inner[0]
    name = _NAME(type(error))
    text = error_text(_shown(error).strip()[:_SEARCHED]).partition("\n")[0]
    return storable_text(f"{name}: {text}" if text else name, LONGEST)


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The errors of a group, without running code of its class; empty for other errors."""
    is_group = issubclass(type(error), BaseExceptionGroup)
    members: tuple[BaseException, ...] = _EXCEPTIONS(error) if is_group else ()
    return members


def text_of(value: object, longest: int | None = None) -> str:
    """Any value as storable text; empty if its `__str__` raises."""
    return storable_text(_shown(value), longest)


def _shown(value: object) -> str:
    try:
        return str.__str__(str(value))
    except BaseException:  # noqa: BLE001 -- `__str__` of a plugin's class may raise anything
        return ""
