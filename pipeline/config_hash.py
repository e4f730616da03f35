"""A short name for the content of a configuration, recorded with every run.

It must change whenever something that affects a run changes, keys and passwords included, yet
whoever reads it may know everything in the configuration but one short password. So it is a slow
hash: every guess takes as long as this does, and a key worth the name is out of reach.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

_SALT = b"patchcord configuration"


def slow_digest(content: bytes) -> str:
    """16 hex digits for the content; takes tens of milliseconds and 16 MiB."""
    return hashlib.scrypt(content, salt=_SALT, n=2**14, r=8, p=1, dklen=8).hex()


def canonical(value: object) -> bytes:
    """The same for equal content in any order of keys; 1, 1.0, True and "1" all differ."""
    return repr(_ordered(value)).encode()


def _ordered(value: Any) -> object:
    if is_dataclass(value):
        parts = [part.name for part in fields(value) if part.compare]
        return _ordered({name: getattr(value, name) for name in parts})
    match value:
        case Mapping():
            pairs = [(repr(key), _ordered(item)) for key, item in value.items()]
            return sorted(pairs, key=lambda pair: pair[0])
        case list() | tuple():
            return [_ordered(item) for item in value]
        case set():
            return sorted(map(repr, value))
        case _:
            return value
