"""Removing the secrets of connections from error messages and outputs."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, unquote

from flowlang.language.schemas import Schema

REDACTED: Final = "[redacted]"
LONGEST_KEPT: Final = 100
"""Characters of a name that is remembered between runs."""
SHORTEST_IN_ERRORS: Final = 4
SHORTEST_IN_OUTPUTS: Final = 8
"""Outputs are data: a short secret is a word that may stand in them for another reason."""

_NAME = re.compile(
    r"(password|passwd|passphrase|pwd|secret|token|credential|authorization|cookie|dsn"
    r"|(api|access|private|signing|secret|account|auth|app|application)[-_ ]?key)(?P<many>s?)$",
    re.IGNORECASE,
)
_AFTER_SCHEME = re.compile(r"://([^\s\"']*+)")
_AFTER_USER = re.compile(r"://[^/?#\s:@]*+:(\S++)")
_SECRET_PARAMETER = re.compile(
    r"([?&](?:[\w.-]{0,40}(?:token|key|secret|signature|passw(?:or)?d|credential)|sig|auth|code)=)"
    r"([^&#\s\"']+)",
    re.IGNORECASE,
)
_DELIMITER = re.compile(r"[/?#]")


def names_a_secret(name: object) -> bool:
    """Whether a key's name says that its value is a secret."""
    if not isinstance(name, str):
        return False
    return _is_named(name) if len(name) <= LONGEST_KEPT else _NAME.search(name) is not None


@lru_cache(maxsize=4096)
def _is_named(name: str) -> bool:
    return _NAME.search(name) is not None


def is_secret(name: object, schema: Schema) -> bool:
    """Whether a property is a secret, by its schema or its name."""
    return schema.is_secret or names_a_secret(name)


def _is_count(name: object, value: object) -> bool:
    """Whether it is a number of things, not a secret: `max_tokens: 4096`."""
    found = _NAME.search(name) if isinstance(name, str) else None
    return bool(found and found["many"]) and isinstance(value, int | float)


class Secrets:
    """The secrets of one run or connection; removes them from texts."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, value: Any) -> None:
        """Redact this text or number from now on, also in its URL-quoted form."""
        if isinstance(value, Mapping | list):
            each = value.values() if isinstance(value, Mapping) else value
            for inner in each:
                self.learn(inner)
        elif value is not None and not isinstance(value, bool):
            text = str(value)
            self._known |= {text, quote(text, safe=""), unquote(text), repr(text)[1:-1]}

    def learn_from(self, config: Any, schema: Mapping[str, Any]) -> None:
        """Learn the values of secret properties, and the passwords in URLs."""
        self._learn_at("", config, Schema.of(schema))

    def _learn_at(self, name: object, config: Any, schema: Schema) -> None:
        if is_secret(name, schema) and not _is_count(name, config):
            self.learn(config)
        elif isinstance(config, str):
            self.learn(list(_in_url(config)))
        else:
            for key, value in _items(config):
                self._learn_at(key, value, schema.at(key))

    def include(self, others: "Secrets") -> None:
        """Learn all secrets of another object."""
        self._known |= others._known

    def text(self, text: str) -> str:
        """A message without secrets, and without users and secret parameters in any URL."""
        text = self._without(text, SHORTEST_IN_ERRORS)
        text = _AFTER_SCHEME.sub(_without_user, text)
        return _SECRET_PARAMETER.sub(rf"\1{REDACTED}", text)

    def output(self, text: str) -> str:
        """A text of a flow's outputs without secrets of at least `SHORTEST_IN_OUTPUTS`."""
        return self._without(text, SHORTEST_IN_OUTPUTS)

    def _without(self, text: str, shortest: int) -> str:
        for secret in sorted(self._known, key=len, reverse=True):
            if len(secret) >= shortest:
                text = text.replace(secret, REDACTED)
        return text


def _without_user(found: re.Match[str]) -> str:
    """The rest of a URL, up to white space, behind its last `@`: a password may hold others."""
    _, at, rest = found[1].rpartition("@")
    return f"://{REDACTED}@{rest}" if at else found[0]


def _in_url(text: str) -> Iterator[str]:
    """The passwords in URLs, also in one that should have been quoted, and secret parameters."""
    for rest in _AFTER_USER.findall(text):
        password, _, _ = rest.rpartition("@")
        if not password:
            continue
        yield password
        host, *others = _DELIMITER.split(password)
        if not host.isdigit():  # a port is no secret; else drivers tell such parts as host or port
            yield from (host, *others)
    for _, value in _SECRET_PARAMETER.findall(text):
        yield value


def _items(config: Any) -> Iterator[tuple[object, Any]]:
    if isinstance(config, dict | Mapping):
        yield from config.items()
    elif isinstance(config, list):
        yield from enumerate(config)
