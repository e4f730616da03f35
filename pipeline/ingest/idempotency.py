"""Idempotency keys: which requests are the same, and what the key of a request is called in Redis.

A `RunChain` with a key registers the run and the digest of its document (`pc:idem:`,
`pc:idemdigest:`). A vCon that comes in with a key, over HTTP, registers the digest of the document
and of its lists (`pc:request:`). Both last for a day, and the keys of the one mean nothing to the
other.

Adapters of vcon-server use the uuid of the vCon as the key, also for a changed vCon. Such a key
adds nothing to the digest that is kept with every vCon, so it is not registered: the same content
is a duplicate, other content a new version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from core.errors import InvalidError, ReusedKeyError
from pipeline.redis_client import keys
from schemas.uuids import canonical_uuid

LONGEST_KEY = 255
"""Characters of a key of a request."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The request of a run; `digests` are those of its document, empty without one."""

    chain: str
    vcon_uuid: str
    digests: Sequence[str] = ()


def run_of(request: RunRequest, registered: str, digest: str | None) -> str:
    """The id of the run registered under an idempotency key, if the request is the same.

    `registered` has the run's id, its chain and its vCon, a line each. `digest` is that of its
    document: empty if the request had none, None if an earlier version registered the run.

    Raises:
        ReusedKeyError: the request differs in its chain, its vCon or the vCon's content.
    """
    run_id, *known = registered.split("\n")
    if known != [request.chain, request.vcon_uuid]:
        raise ReusedKeyError("this idempotency_key was used for another chain or another vCon")
    if request.digests and digest not in (None, *request.digests):
        raise other_content()
    return run_id


def other_content() -> ReusedKeyError:
    """The error for an idempotency key that was used with another document."""
    msg = "this idempotency_key was used with other content of this vCon; use another key"
    return ReusedKeyError(msg)


def other_request() -> ReusedKeyError:
    """The error for the key of a vCon that was used with another one, or with other lists."""
    msg = "this Idempotency-Key was used with another vCon, other content or other lists"
    return ReusedKeyError(f"{msg}; use another key")


@dataclass(frozen=True, slots=True)
class Registration:
    """Where Redis keeps that a request was carried out, and the digest of the lists it named."""

    name: str = ""
    lists: str = ""


NO_KEY = Registration()


def registration(key: str, vcon_uuid: str, lists: Sequence[str], scope: str = "") -> Registration:
    """The registration of a request; `NO_KEY` if the key is the uuid of the vCon.

    `scope` separates callers: the lineage of a partner's key, empty for internal callers.

    Raises:
        InvalidError: the key is empty or too long.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidError(f"Idempotency-Key: must have 1 to {LONGEST_KEY} characters")
    if canonical_uuid(key.strip(' "')) == vcon_uuid:
        return NO_KEY
    return Registration(keys.request(_digest(scope, key)), _digest(*sorted(set(lists))))


def _digest(*texts: str) -> str:
    return sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
