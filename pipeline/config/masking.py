"""Secrets of the configuration file as masks, and masks as secrets again.

`GET /config` shows the file with a mask in the place of each secret, and a client edits what it got
and posts it back. A mask is `[redacted ID]`; the id is a keyed hash of the value, so a mask stands
for its value wherever the client has moved it, and never for another value that stands in its old
place by now. The key is derived from a secret that all replicas share: a reader without it cannot
try values until the id matches.

A value is a secret by the name above it, as an ingress key, or because the redactor of the log
lines would not show it. `${NAME}` is none: it says where the secret comes from.
"""

import hashlib
import hmac
import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import InvalidError, TooLargeError
from core.observability.redaction import KNOWN, names_a_secret
from pipeline.config.environment import Where, url_secrets
from pipeline.config.sections import spelled

MOST_VALUES = 100_000
"""Values of a configuration that is shown: aliases of YAML may expand a small file to any size."""
DEEPEST = 100
"""Levels of nested values."""
AUTH = "ingress_auth"

_MASK = re.compile(r"\[redacted ([0-9a-f]{12})\]")
_VARIABLE = re.compile(r"\$\{(?:env\.)?[A-Za-z_][A-Za-z0-9_]*(?::-)?\}")
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|key)?", re.IGNORECASE)
_LIKELY = re.compile(
    r"secret|token|passw|passcode|credential|signature|signing|private"
    r"|key$|(?:^|[^a-z])(?:pem|pass|pat|jwt|bearer|auth|dsn|sas)$",
    re.IGNORECASE,
)
"""Names whose texts are masked besides those that the redactor of the log lines knows."""
_HEADERS = re.compile(r"headers?$", re.IGNORECASE)
_HARMLESS = re.compile(r"accept(?:-.*)?|content-.*|user-agent|[^a-z]*", re.IGNORECASE)
SHORT_HEADER = 8
"""Characters from which on the value of a header is masked under any name."""
_USER = re.compile(r"://[^/?#\s@:]{1,500}@")
_URL = re.compile(r"[^\s:]+://\S+")
_SALT = b"patchcord masks"


def mask_key(secret: str) -> bytes:
    """The key of the masks; slow on purpose, some tens of milliseconds."""
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)


@dataclass(slots=True)
class Masks:
    """Masks the values of one document after another; `values` has those that were masked."""

    key: bytes
    values: dict[str, Any] = field(default_factory=dict)
    _count: int = 0

    def document(self, document: object) -> Any:
        """The document as JSON values, with masks.

        Raises:
            TooLargeError: it has more than `MOST_VALUES`, or is nested too deeply.
        """
        if not isinstance(document, Mapping):
            return self._shown(document, "", is_secret=False)
        return {
            _text(name): self._auth(value) if name == AUTH else self._shown(value, name)
            for name, value in document.items()
        }

    def _auth(self, section: object) -> Any:
        """The section `ingress_auth`: keys, lists of keys, or mappings with `key`."""
        if not isinstance(section, Mapping):
            return self._shown(section, AUTH, is_secret=True)
        return {_text(name): self._auth_of_list(given) for name, given in section.items()}

    def _auth_of_list(self, given: object) -> Any:
        if isinstance(given, list):
            return [self._auth_of_list(each) for each in given]
        if isinstance(given, Mapping):
            return {
                _text(name): self._shown(value, name, is_secret=name == "key")
                for name, value in given.items()
            }
        return self._shown(given, AUTH, is_secret=True)

    def _shown(
        self, value: object, name: object, depth: int = 1, *, is_secret: bool = False
    ) -> Any:
        self._count += 1
        if self._count > MOST_VALUES or depth > DEEPEST:
            msg = f"the configuration has more than {MOST_VALUES} values or {DEEPEST} levels"
            raise TooLargeError(msg)
        is_secret = is_secret or names_a_secret(name)
        if isinstance(value, Mapping):
            headers = isinstance(name, str) and _HEADERS.search(name) is not None
            return {
                _text(key): self._shown(
                    each, key, depth + 1, is_secret=is_secret or (headers and _is_hidden(key, each))
                )
                for key, each in value.items()
            }
        if isinstance(value, list | tuple | set):
            return [self._shown(each, name, depth + 1, is_secret=is_secret) for each in value]
        likely = isinstance(value, str) and isinstance(name, str) and _LIKELY.search(name)
        hides = self._hides(value, is_secret=is_secret or bool(likely))
        if value is None or isinstance(value, bool) or not hides:
            return as_json(value)
        return self._mask(value)

    def _hides(self, value: object, *, is_secret: bool) -> bool:
        if not isinstance(value, str):
            return is_secret
        rest = _VARIABLE.sub("", value)
        if is_secret:
            return _SCHEME.fullmatch(rest.strip()) is None
        return (
            KNOWN.text(rest) != rest
            or _USER.search(rest) is not None
            or (_URL.fullmatch(rest) is not None and any(url_secrets(rest)))
            or _MASK.search(rest) is not None
        )

    def _mask(self, value: object) -> str:
        content = f"{type(value).__name__}:{value}".encode(errors="surrogateescape")
        name = hmac.new(self.key, content, hashlib.sha256).hexdigest()[:12]
        self.values[name] = value
        return f"[redacted {name}]"


def _is_hidden(header: object, value: object) -> bool:
    """Whether the value of a header may be a secret: any that is long, except for common ones."""
    is_long = isinstance(value, str) and len(value) >= SHORT_HEADER
    return is_long and not (isinstance(header, str) and _HARMLESS.fullmatch(header))


def as_json(value: object) -> Any:
    """A value of YAML that is no structure, as JSON has it: dates and bytes become texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value if isinstance(value, str | int | float | None) else str(value)


def _text(key: object) -> str:
    shown = as_json(key)
    return shown if isinstance(shown, str) else json.dumps(shown)


@dataclass(frozen=True, slots=True)
class Unmasking:
    """Puts the values of masks back; `values` gives those of one source after another."""

    values: Callable[[], Iterable[Mapping[str, Any]]]
    problems: list[str] = field(default_factory=list)

    def document(self, posted: object, current: object) -> Any:
        """The posted document with values for masks.

        Where it has what JSON shows of a date, of a key that is a number or of the like, and the
        current document has the value itself, the value stays.

        Raises:
            InvalidError: with every mask whose value is not known.
        """
        document = self._restored(posted, current, ())
        if self.problems:
            raise InvalidError("the configuration has masks without a value", self.problems)
        return document

    def _restored(self, posted: Any, current: Any, where: Where) -> Any:
        if isinstance(posted, dict):
            known = {_text(key): key for key in current} if isinstance(current, Mapping) else {}
            return {
                self._key(name, known, where): self._restored(
                    value, current[known[name]] if name in known else None, (*where, name)
                )
                for name, value in posted.items()
            }
        if isinstance(posted, list):
            beside = current if isinstance(current, list) else []
            return [
                self._restored(each, beside[at] if at < len(beside) else None, (*where, at))
                for at, each in enumerate(posted)
            ]
        if isinstance(posted, str):
            return self._text(posted, current, where)
        return posted

    def _key(self, name: str, known: Mapping[str, object], where: Where) -> object:
        if _MASK.search(name):
            self.problems.append(f"{spelled(where)}: a key cannot be a mask")
        return known.get(name, name)

    def _text(self, text: str, current: Any, where: Where) -> Any:
        mask = _MASK.fullmatch(text)
        if mask is None:
            if _MASK.search(text):
                self._problem(where, "has a mask inside; a mask stands for a whole value")
            return current if not isinstance(current, str) and _is_shown_as(current, text) else text
        for values in self.values():
            if mask[1] in values:
                return values[mask[1]]
        self._problem(where, "the value of this mask is not known; give the value itself")
        return text

    def _problem(self, where: Where, text: str) -> None:
        self.problems.append(f"{spelled(where)}: {text}")


def _is_shown_as(value: object, text: str) -> bool:
    is_scalar = value is not None and not isinstance(value, Mapping | list)
    return is_scalar and as_json(value) == text


def once(values: Iterator[Mapping[str, Any]]) -> Callable[[], Iterator[Mapping[str, Any]]]:
    """A function that gives the items from the first on, each of them made once, when needed."""
    made: list[Mapping[str, Any]] = []

    def again() -> Iterator[Mapping[str, Any]]:
        yield from made
        for each in values:
            made.append(each)
            yield each

    return again
