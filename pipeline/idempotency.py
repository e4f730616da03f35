"""Requests with an idempotency key: the same request again gets the run that was requested first.

Redis remembers two things for a day: the run with its chain and its vCon, and beside them the
digest of the document that the vCon had then, which earlier versions did not leave.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ConflictError


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a caller asks for; `digests` are those of the document given, if any."""

    chain: str
    vcon_uuid: str
    digests: Sequence[str] = ()


def run_of(request: RunRequest, registered: str, digest: str | None) -> str:
    """The run that stands behind a key, if this request is the one it was used for.

    `registered` is the run's id, its chain and its vCon, a line each; `digest` that of its
    document: empty when it is not known, None when an earlier version registered the run.

    Raises:
        ConflictError: the request differs in its chain, its vCon or the vCon's content.
    """
    run_id, *known = registered.split("\n")
    if known != [request.chain, request.vcon_uuid]:
        raise ConflictError("this idempotency_key was used for another chain or another vCon")
    if request.digests and digest not in (None, *request.digests):
        raise used_otherwise()
    return run_id


def used_otherwise() -> ConflictError:
    """What a caller is told whose document is not the one that the key was used with."""
    msg = "this idempotency_key was used with other content of this vCon; use another key"
    return ConflictError(msg)
