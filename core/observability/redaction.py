"""Redacts secrets in log lines and error texts: known secrets, and text that looks like one.

The finished line is searched, so a secret is found in the message, in a field, in a URL and in a
traceback. No pattern begins with a repetition, so the time is linear in the length of the line.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, SecretBytes, SecretStr

from core.request_context import request_secrets

REDACTED: Final = "[redacted]"
SHORTEST = 6
"""Shorter secrets are not learned, because they would redact ordinary words."""
SHORTEST_PASSING = 4
"""The shortest secret of a single request."""
SHORTEST_LINE = 16
"""The shortest line of a multi-line secret that is learned by itself."""
DEEPEST = 6
"""Levels of nested fields whose names are checked; the finished line is searched in any case."""

_WORDS = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?|authorization|cookie"
    r"|(?:api|access|private|signing|secret|account|auth|ingress|app|application)[-_ ]?key)"
)
_NAME = re.compile(rf"{_WORDS}$", re.IGNORECASE)
_QUOTE = r"\\{0,3}[\"']"
_KEY_VALUE = re.compile(
    rf"({_WORDS}(?:{_QUOTE})?\s{{0,3}}[:=]\s{{0,3}}(?:(?:bearer|basic|digest)\s)?)"
    rf"(?:({_QUOTE})(?:bearer\s|basic\s)?(.{{0,4096}}?)(?:(?<!\\)\2|$)|([^\s\"'\\,;&)}}\]]+))",
    re.IGNORECASE | re.DOTALL,
)
_NOTHING = re.compile(r"(?:none|null|true|false|\*+|\[redacted\]?|SecretStr\(|)", re.IGNORECASE)
_SCHEME_WORD = re.compile(r"(?:bearer|basic|token|apikey|key)\s+", re.IGNORECASE)
_SCHEME = re.compile(r"\b(bearer|basic)\s[\w.~+/=-]{8,}", re.IGNORECASE)
_URL_USER = re.compile(r"(://[^:/?#\s@\"'\\]{0,200}):[^\s\"'/\\]{1,500}@")
_URL_PASSWORD = re.compile(r"://[^:/?#\s@\"'\\]{0,200}:([^\s\"'/\\]{1,500})@")
_URL_PART = re.compile(
    r"([?&](?:[\w.-]{0,40}(?:token|key|secret|signature|password|credential)|sig|auth|code)=)"
    r"[^&\s\"'\\]+",
    re.IGNORECASE,
)
_PEM = re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(-----END|$)", re.DOTALL)


class Redactor:
    """Replaces secrets by `[redacted]`."""

    def __init__(self) -> None:
        """Without known secrets."""
        self._known: set[str] = set()
        self._names: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Replace these texts from now on, also in the notations of URLs, JSON and Python."""
        fresh = {secret for secret in secrets if len(secret) >= SHORTEST}
        fresh |= {form for secret in fresh for form in _written(secret)}
        if not fresh <= self._known:
            self._known |= fresh
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def learn_names(self, names: Iterable[str]) -> None:
        """Redact fields with these names from now on."""
        self._names |= set(names)

    def learn_from(self, value: Any, name: object = "", depth: int = DEEPEST) -> None:
        """Learn the values under names of secrets, and the passwords in URLs, of a structure.

        A `SecretStr` is a secret under any name. Pydantic models are structures, too.
        """
        for found, key in _leaves(value, name, depth):
            if isinstance(found, SecretStr | SecretBytes):
                self.learn_value(found.get_secret_value())
            elif names_a_secret(key):
                self.learn_value(found)
            elif isinstance(found, str):
                self.learn(_URL_PASSWORD.findall(found))

    def learn_value(self, value: object) -> None:
        """Learn one secret value, and the parts of it that may be logged separately."""
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str | int) and not isinstance(value, bool):
            self.learn(_parts(str(value)))

    @property
    def longest(self) -> int:
        """Characters of the longest known secret in any notation."""
        return max(map(len, self._known), default=0)

    def text(self, text: str, passing: Iterable[str] = ()) -> str:
        """The text without secrets; `passing` are the secrets of the current request."""
        for secret in passing:
            for form in (secret, *_written(secret)) if len(secret) >= SHORTEST_PASSING else ():
                text = text.replace(form, REDACTED)
        text = _KEY_VALUE.sub(_without_value, self.sentence(text))
        return _SCHEME.sub(rf"\1 {REDACTED}", text)

    def sentence(self, text: str) -> str:
        """The same, without the patterns for values after names, as in `TOKEN: must be set`."""
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        text = _PEM.sub(rf"\1{REDACTED}\2", text)
        text = _URL_USER.sub(rf"\1:{REDACTED}@", text)
        return _URL_PART.sub(rf"\1{REDACTED}", text)

    def fields(self, fields: Mapping[str, Any], depth: int = DEEPEST) -> dict[str, Any]:
        """The fields, with the values under names of secrets redacted."""
        return {name: self._field(name, value, depth) for name, value in fields.items()}

    def _is_secret(self, name: str) -> bool:
        return name in self._names or names_a_secret(name)

    def _field(self, name: object, value: Any, depth: int) -> Any:
        if value is not None and isinstance(name, str) and self._is_secret(name):
            return REDACTED
        if depth > 0 and isinstance(value, Mapping):
            return self.fields(value, depth - 1)
        if depth > 0 and isinstance(value, list | tuple):
            return [self._field("", each, depth - 1) for each in value]
        return value


KNOWN: Final = Redactor()
"""The secrets of this process, for its log lines and for every error text that it stores."""

_READ = 65_536


def names_a_secret(name: object) -> bool:
    """Whether the name of a field is that of a secret, such as `api_key`."""
    return isinstance(name, str) and _NAME.search(name) is not None


def error_text(text: str) -> str:
    """The text of an error without secrets; of a very long text only the beginning.

    A secret at the cut is left out as well.
    """
    margin, passing = KNOWN.longest, request_secrets.get()
    if len(text) <= _READ + margin:
        return KNOWN.text(text, passing)
    hidden = KNOWN.text(text[: _READ + margin], passing)
    return hidden[: max(len(hidden) - margin, 0)]


def _leaves(value: Any, name: object, depth: int) -> Iterator[tuple[Any, object]]:
    """The values of a structure, each with its name."""
    if isinstance(value, BaseModel):
        value = {**{key: getattr(value, key) for key in type(value).model_fields}, **_extra(value)}
    if isinstance(value, Mapping):
        for key, each in value.items() if depth > 0 else ():
            yield from _leaves(each, key, depth - 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value if depth > 0 else ():
            yield from _leaves(each, name, depth - 1)
    else:
        yield value, name


def _extra(model: BaseModel) -> Mapping[str, Any]:
    return model.model_extra or {}


def _parts(secret: str) -> Iterator[str]:
    """The whole secret, the secret without a scheme such as `Bearer`, its lines, and its JSON."""
    yield secret
    yield secret.strip()
    yield _SCHEME_WORD.sub("", secret, count=1)
    if "\n" in secret:
        yield from (line for line in map(str.strip, secret.splitlines()) if _is_long(line))
    if secret.lstrip().startswith("{"):
        yield from _in_json(secret)


def _is_long(line: str) -> bool:
    return len(line) >= SHORTEST_LINE and not line.startswith("-----")


def _in_json(text: str) -> Iterator[str]:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return
    for value, name in _leaves(held, "", DEEPEST):
        if isinstance(value, str) and names_a_secret(name):
            yield from _parts(value)


def _written(secret: str) -> tuple[str, ...]:
    """A secret in the notations of URLs, JSON and Python."""
    return quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]


def _without_value(match: re.Match[str]) -> str:
    before, mark, quoted, bare = match.groups()
    value = bare if mark is None else quoted
    if _NOTHING.fullmatch(value):
        return match.group()
    return f"{before}{mark or ''}{REDACTED}{mark or ''}"
