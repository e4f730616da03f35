"""What a backup does with each kind of key; every row of docs/data-model.md has one here.

A key that no row names is kept: keys of other programs, and those that a later version adds.
"""

from enum import Enum
from typing import NamedTuple

from pipeline.redis_client import keys


class Treatment(Enum):
    """What is done with the keys of a kind."""

    KEEP = "restored as it was read"
    LAST = "read after everything else of Redis, restored as it was read"
    VCON = "read together with its vCon, at one moment"
    LATER = "when delayed elements are due; which of them are queued, the holds tell"
    LENT = "returned to its list, as if the lease had ended"
    QUEUED = "its elements return to their lists, as the holds tell"
    LEFT_OUT = "not in the backup"


class Kind(NamedTuple):
    """A kind of key: a whole name, or the beginning of names."""

    name: str
    treatment: Treatment
    why: str


_PROCESS = "tells of processes that will not exist any more"
_SHORT = "is needed for seconds or minutes only"
KINDS = (
    Kind("vcon:", Treatment.VCON, "the document"),
    Kind("pc:holds:", Treatment.VCON, "tells where the vCon is needed"),
    Kind("pc:about:", Treatment.VCON, "belongs to the document"),
    Kind("pc:signed:", Treatment.KEEP, "the signed original of a document"),
    Kind("pc:attempts:", Treatment.VCON, "must agree with the checkpoint"),
    Kind("pc:run:", Treatment.KEEP, "and again with its vCon, if a list needs it"),
    Kind("pc:dead:", Treatment.KEEP, "and again with its vCon"),
    Kind("pc:unread:", Treatment.KEEP, "and again with its vCon"),
    Kind("pc:again:", Treatment.KEEP, "and again with its vCon"),
    Kind(keys.RUN_LIST, Treatment.KEEP, "queued runs"),
    Kind(keys.DEAD_LETTERS, Treatment.KEEP, "dead letters"),
    Kind("context:", Treatment.KEEP, "trace contexts of queued elements"),
    Kind("vcons", Treatment.KEEP, "the index by time (VCON_SORTED_SET_NAME)"),
    Kind("tel:", Treatment.KEEP, "the search index"),
    Kind("mailto:", Treatment.KEEP, "the search index"),
    Kind("name:", Treatment.KEEP, "the search index"),
    Kind("pc:tokens", Treatment.KEEP, "numbers go on from there"),
    Kind("pc:unsure:", Treatment.KEEP, "the sweep decides"),
    Kind("pc:expiring", Treatment.KEEP, "when the index entries of expired vCons go"),
    Kind("pc:death:", Treatment.KEEP, "a text for errors"),
    Kind("pc:cancel:", Treatment.KEEP, "requests to end a run"),
    Kind("pc:idem:", Treatment.KEEP, "requests that were answered"),
    Kind("pc:idemdigest:", Treatment.KEEP, "requests that were answered"),
    Kind("pc:request:", Treatment.KEEP, "requests that were answered"),
    Kind("pc:cause:", Treatment.KEEP, "causes of failures; a chore brings them in line"),
    Kind("pc:causes:", Treatment.KEEP, "causes of failures; a chore brings them in line"),
    Kind(keys.CAUSE_LISTS, Treatment.KEEP, "causes of failures; a chore brings them in line"),
    Kind("pc:replay:", Treatment.KEEP, "what was replayed"),
    Kind("pc:replays", Treatment.KEEP, "what was replayed"),
    Kind("pc:asset:", Treatment.KEEP, "the asset of the day at DataTrails"),
    Kind("pc:receipts:", Treatment.KEEP, "what storage.scitt has registered"),
    Kind("pc:tombstone:", Treatment.KEEP, "what was erased stays so; Postgres has it, too"),
    Kind("pc:paused", Treatment.KEEP, "an operator's decision, with its end"),
    Kind(keys.HISTORY, Treatment.LAST, "runs on their way to Postgres, which is read after it"),
    Kind(keys.INDEX, Treatment.LAST, "notes on their way to Postgres, which is read after it"),
    Kind(keys.RELEASED, Treatment.LAST, "releases on their way to Postgres, read after it"),
    Kind(keys.OWNERS, Treatment.LAST, "owners on their way to Postgres, which is read after it"),
    Kind(keys.LATER, Treatment.LATER, "delayed retries"),
    Kind("pc:lease:", Treatment.LENT, "readers of egress lists will not acknowledge them"),
    Kind("pc:inflight:", Treatment.QUEUED, "its worker will not exist any more"),
    Kind("pc:waiting:", Treatment.QUEUED, "no run will hold the vCon"),
    Kind("pc:suspects:", Treatment.QUEUED, "claims set suspects aside again"),
    Kind(keys.LOCKS, Treatment.LEFT_OUT, "no run will hold a vCon"),
    Kind(keys.WORKERS, Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:worker:", Treatment.LEFT_OUT, _PROCESS),
    Kind(keys.AWAITED, Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:stalled:", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:step:", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:process:", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:processes", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:drained", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:replicas:", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:answers:", Treatment.LEFT_OUT, "the requests have had their time"),
    Kind("pc:replayer:", Treatment.LEFT_OUT, _PROCESS),
    Kind(keys.LISTS, Treatment.LEFT_OUT, "each replica writes it every few seconds"),
    Kind(keys.LENDERS, Treatment.LEFT_OUT, "no uuid is lent out"),
    Kind(keys.STAGED, Treatment.LEFT_OUT, "documents that are not accepted yet"),
    Kind(keys.TRASH, Treatment.LEFT_OUT, "what was replaced or deleted"),
    Kind("pc:trash:", Treatment.LEFT_OUT, "what was replaced or deleted"),
    Kind("pc:media", Treatment.LEFT_OUT, "the media are in the documents of the backup"),
    Kind("pc:media:", Treatment.LEFT_OUT, "the media are in the documents of the backup"),
    Kind("pc:missing:", Treatment.LEFT_OUT, "marks of a sweep under way"),
    Kind("pc:rate:", Treatment.LEFT_OUT, _SHORT),
    Kind("pc:minutes:", Treatment.LEFT_OUT, _SHORT),
    Kind("pc:destination:", Treatment.LEFT_OUT, "tells how other servers were at that time"),
    Kind("pc:slots:", Treatment.LEFT_OUT, _PROCESS),
    Kind("pc:parked:", Treatment.LEFT_OUT, "the runs themselves are delayed retries"),
    Kind("pc:session:", Treatment.LEFT_OUT, "people sign in again"),
    Kind("pc:sessions", Treatment.LEFT_OUT, "people sign in again"),
    Kind(keys.PROBE, Treatment.LEFT_OUT, _SHORT),
    Kind(keys.EPOCH, Treatment.LEFT_OUT, "names this Redis, not its data"),
    Kind(keys.TOMBSTONES, Treatment.LEFT_OUT, "the service compares all tombstones with Postgres"),
    Kind("pc:restoring:", Treatment.LEFT_OUT, "notes of a restore under way"),
)
_OTHER = Kind("", Treatment.KEEP, "a list of the configuration, or a key of another program")
_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of(key: str) -> Kind:
    """The kind of a key."""
    first, _, rest = key.partition(":")
    second = f"{first}:{rest.partition(':')[0]}:" if ":" in rest else ""
    return _BY_NAME.get(key) or _BY_NAME.get(second) or _BY_NAME.get(f"{first}:") or _OTHER


def names_of(treatment: Treatment) -> list[str]:
    """The names of kinds with this treatment."""
    return [kind.name for kind in KINDS if kind.treatment is treatment]
