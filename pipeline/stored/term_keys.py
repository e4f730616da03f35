"""How the index in Postgres has a search term: as a keyed hash, or clear.

A hash is HMAC-SHA256 of `tel:+12015550123` with the secret of the installation, cut to 128 bits. It
cannot be computed without the secret; with both all numbers can be tried out. A search looks for
the hash with every known secret and for the clear term, so that rows from before a change of the
settings are found.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.vcon.party_terms import FIELDS, Field, split, terms

_BYTES = 16


@dataclass(frozen=True, slots=True)
class TermKeys:
    """The secrets, the present one first; `clear`: terms are kept as they are."""

    secrets: tuple[str, ...]
    clear: bool = False

    def kept(self, field: Field, value: str) -> str:
        """The term as it is written now."""
        return _clear(field, value) if self.clear else _hashed(field, value, self.secrets[0])

    def sought(self, field: Field, value: str) -> Sequence[str]:
        """Every form that it may have in older rows."""
        hashes = [_hashed(field, value, secret) for secret in self.secrets]
        return [*hashes, _clear(field, value)]

    def kept_as(self, field: Field, value: str) -> Sequence[str]:
        """Every form that rows may have under these settings: clear only where they say so."""
        hashes = [_hashed(field, value, secret) for secret in self.secrets]
        return [*hashes, _clear(field, value)] if self.clear else hashes

    def shown(self, field: Field, value: str) -> str:
        """What stands for it in the audit: never clear."""
        return _hashed(field, value, self.secrets[0])


def fingerprint(secret: str) -> str:
    """What tells a secret from others without saying it."""
    return hmac.digest(secret.encode(), b"fingerprint", hashlib.sha256).hex()[:16]


def fields_of(sought: Collection[str]) -> list[Field]:
    """A hash begins with the first letter of its field, a clear term with its name."""
    return [each for each in FIELDS if any(term.startswith(each[0]) for term in sought)]


def meaning(
    keys: Sequence[str], secrets: TermKeys, region: str, sought: Collection[str]
) -> list[str]:
    """Those of these keys whose value has one of the terms. Blocks: 10 us for a number."""
    found = []
    for key in keys:
        field, value = split(key) or ("tel", "")
        kept = (
            term for form in terms(field, value, region) for term in secrets.kept_as(field, form)
        )
        if not set(sought).isdisjoint(kept):
            found.append(key)
    return found


def _clear(field: Field, value: str) -> str:
    return f"{field}:{value}"


def _hashed(field: Field, value: str, secret: str) -> str:
    text = _clear(field, value).encode(errors="replace")
    digest = hmac.digest(secret.encode(), text, hashlib.sha256)[:_BYTES]
    return field[0] + base64.urlsafe_b64encode(digest).decode().rstrip("=")
