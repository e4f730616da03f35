"""Values of log fields as an operator reads them in a line of text: no `repr` of Python objects."""

import json
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime
from typing import Any, override

_AS_THEY_ARE = (bool, int, float, type(None))
_UNTOUCHED = frozenset({"exc_info", "exception", "stack", "level", "timestamp"})


class _Shown:
    """A value whose text is not quoted by the renderer."""

    def __init__(self, text: str) -> None:
        self._text = text

    @override
    def __repr__(self) -> str:
        return self._text


def plain_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: every field and the message as plain text on one line."""
    return {
        one_line(name): value if name in _UNTOUCHED else _plain(value)
        for name, value in event.items()
    }


def _plain(value: object) -> object:
    if isinstance(value, str):
        return one_line(str(value))  # of an enumeration, what it stands for
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _Shown(json.dumps(_parts(value), ensure_ascii=False))
    return one_line(_text(value))


def _parts(value: object) -> Any:
    if isinstance(value, Mapping):
        return {_text(name): _parts(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_parts(each) for each in value]
    return value if isinstance(value, _AS_THEY_ARE) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}" if str(value) else type(value).__name__
    return str(getattr(value, "value", value))


def one_line(text: str) -> str:
    """The text with line ends and control characters escaped: none can forge a line or a colour."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
