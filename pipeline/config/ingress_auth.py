"""The `ingress_auth` section. Messages name a key by its position, never by its value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, TypeAdapter

from pipeline.config.environment import Unfilled, Where
from pipeline.config.sections import TEXT, Kind, Section, spelled
from schemas.ingress_key import SHORTEST_KEY, ConfiguredKey

RATE: Kind[int | None] = Kind(
    TypeAdapter(Annotated[int, Field(ge=1, le=100_000)]), "a whole number from 1 to 100,000"
)
SIZE: Kind[int | None] = Kind(
    TypeAdapter(Annotated[int, Field(ge=1, le=1_000_000_000)]), "a number of bytes, 1 or more"
)
_LABEL = ConfiguredKey.model_fields["label"].default
_WEAK = (
    "a {} must have at least {} characters, and this one has {}; ALLOW_WEAK_KEYS=true allows it, "
    "for development only"
)


@dataclass(frozen=True, slots=True)
class IngressAuth:
    """The keys of each list; labels, limits and signing secrets of keys given as mappings."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    details: Mapping[str, ConfiguredKey] = field(default_factory=dict, repr=False)


def read_ingress_auth(auth: Section, *, weak_keys: bool = False) -> IngressAuth:
    """Read the keys of each ingress list. `weak_keys`: short ones are allowed."""
    reader = _Reader(auth, weak_keys=weak_keys)
    return IngressAuth({name: reader.keys_of(name) for name in auth}, reader.details)


class _Reader:
    """Reads the section, and records where each key is given first, in any list."""

    def __init__(self, auth: Section, *, weak_keys: bool) -> None:
        self._auth = auth
        self._weak_keys = weak_keys
        self._places: dict[str, Where] = {}
        self.details: dict[str, ConfiguredKey] = {}

    def keys_of(self, name: str) -> tuple[str, ...]:
        """The valid keys of one list."""
        found = (self._key(where, given) for where, given in self._given(name))
        return tuple(key for key in found if key is not None)

    def _given(self, name: str) -> list[tuple[Where, object]]:
        content = self._auth.raw(name)
        if content is None or isinstance(content, list):
            return self._auth.entries(name)
        if isinstance(content, str | Mapping):
            return [((*self._auth.where, name), content)]
        text = "must be a key or a list of keys, each a text or a mapping with `key`"
        self._auth.findings.text_wanted((*self._auth.where, name), text, content)
        return []

    def _key(self, where: Where, given: object) -> str | None:
        """One key, if it is valid and not given before."""
        key = self._described(where, given) if isinstance(given, Mapping) else given
        if isinstance(key, Unfilled):
            return None
        if not isinstance(key, str) or not key.strip():
            text = "a key must be a text, quoted and not empty"
            self._auth.findings.text_wanted(where, text, key)
            return None
        if key in self._places:
            self._report_repeated(where, self._places[key])
            return None
        self._places[key] = where
        self._check_length(where, key)
        return key

    def _described(self, where: Where, given: Mapping[object, object]) -> object:
        """The key of a mapping; its label, limits and signing secret are added to `details`.

        A key whose signing secret is missing in the environment is not usable, as it would open its
        list without a signature.
        """
        section = Section(given, where, self._auth.findings)
        details = ConfiguredKey(
            label=section.value("label", TEXT, _LABEL)[:200],
            requests_per_minute=section.value("requests_per_minute", RATE, None),
            max_vcon_bytes=section.value("max_vcon_bytes", SIZE, None),
            signing_secret=self._signing_secret(section),
        )
        key = given.get("key")
        if isinstance(key, str) and not isinstance(key, Unfilled):
            self.details.setdefault(key, details)
        section.raw("key")
        section.note_unread()
        unfilled = given.get("signing_secret")
        return unfilled if isinstance(unfilled, Unfilled) else key

    def _signing_secret(self, section: Section) -> str | None:
        secret = section.value("signing_secret", TEXT, "")
        if secret:
            where = (*section.where, "signing_secret")
            self._check_length(where, secret.strip(), "signing_secret")
        return secret or None

    def _check_length(self, where: Where, secret: str, what: str = "key") -> None:
        if len(secret) < SHORTEST_KEY and not self._weak_keys:
            self._auth.findings.problem(where, _WEAK.format(what, SHORTEST_KEY, len(secret)))

    def _report_repeated(self, where: Where, first: Where) -> None:
        """A key may open one list only, since it also identifies the partner."""
        findings = self._auth.findings
        if where[:2] == first[:2]:
            findings.note(where, f"the same key as {spelled(first)}")
        else:
            findings.problem(where, f"the same key as {spelled(first)}; give each list its own")
