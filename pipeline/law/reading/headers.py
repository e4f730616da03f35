"""Headers of JWS and JWE: parsed strictly, and joined where names are unique.

RFC 7515 and 7516 demand that the protected and the other headers have no name in common. The core
draft contradicts that, and examples of its working group have equal values twice. So a name that
stands twice with equal values is reported and taken from the protected header; one with different
values is an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import TooLargeError
from pipeline.law.reading.packing import from_base64url

type Header = Mapping[str, Any]

_FORBIDDEN = {
    "crit": "names extensions of the header, of which none is known here",
    "b64": "unencoded payloads (RFC 7797) are not read",
    "zip": "compression inside of JWE is not read: its size is told nowhere",
}


@dataclass(frozen=True, slots=True)
class Joined:
    """The headers of one signature or recipient; `twice` are names that stood in two of them."""

    protected: Header
    all: Header
    twice: tuple[str, ...]


def protected_header(text: object, most_bytes: int) -> Header:
    """The object that a protected header stands for; empty if there is none.

    Raises:
        TooLargeError: it has more than `most_bytes`.
        ValueError: it is no JSON object in base64url, or has a name twice.
    """
    if text is None:
        return {}
    if isinstance(text, str) and len(text) > most_bytes:
        raise TooLargeError(f"protected: has {len(text)} bytes; at most {most_bytes} are read")
    try:
        header = json.loads(from_base64url(text), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"protected: {error}") from error
    if not isinstance(header, dict):
        raise ValueError("protected: expected an object")  # noqa: TRY004 -- the text is wrong
    return header


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice in one object")
    return found


def joined(protected: Header, *others: object) -> Joined:
    """The headers that hold together for one signature or recipient.

    Raises:
        ValueError: one is no object, has a name that stands elsewhere with another value, or one
            that is not supported.
    """
    found, twice = dict(protected), []
    for other in others:
        if other is not None and not isinstance(other, Mapping):
            raise ValueError("header: expected an object")
        for name, value in (other or {}).items():
            if name in found:
                if not _is_same(found[name], value):
                    raise ValueError(f"{name!a:.80} has two values in the headers")
                twice.append(name)
            else:
                found[name] = value
    for name, why in _FORBIDDEN.items():
        if name in found:
            raise ValueError(f"{name}: {why}")
    return Joined(protected, found, tuple(dict.fromkeys(twice)))


def _is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
