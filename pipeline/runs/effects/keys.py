"""Effect keys: what a step sends along, so that a repetition is known as one outside.

A key is a digest of the run, the step and the version of the vCon. The version is a digest of the
document in a form that does not depend on who has it: the server's JSON text differs from the one
that a run keeps in memory, and a large body may be a placeholder (`pipeline/media/bodies.py`),
whose name has the digest of the body. `updated_at` is left out, since some links set it at every
write. A replay that goes on after a failed run has the keys of that run.
"""

import hashlib
import uuid
from typing import Any

import orjson

from core.errors import ConflictError
from pipeline.media import bodies
from pipeline.plugins.loader import LoadedStorage, LoadedTracer
from pipeline.redis_client.client import installed
from pipeline.runs import call_scope
from pipeline.runs.run_state import RunState, current_run, current_step, is_abandoned
from pipeline.runs.vcon_store import VconStore

DIGITS = 32
"""Hexadecimal digits of a key."""
_SECTIONS = ("dialog", "attachments", "analysis")


class _Known:
    """The key of the step that one call of a plugin belongs to."""

    key = ""


def key_of_step(*parts: object) -> str:
    """The key of the step that runs in this context; with `parts`, that of one of its requests.

    Outside of a run it is random. Reads the vCon from Redis if this call of the plugin has not.

    Raises:
        ConflictError: the call was given up, and the run goes on without it.
        UnavailableError: Redis cannot be reached.
    """
    if (live := current_run.get()) is None:
        return uuid.uuid4().hex
    if is_abandoned():
        raise ConflictError("this call took too long and was given up")
    known = call_scope.kept(_Known)
    known.key = known.key or _digest(live.effect_run, step_of(live), _version_of(live))
    return _digest(known.key, *map(str, parts)) if parts else known.key


def step_of(live: RunState) -> str:
    """The present step of a run: kind, index and name; storages have no index."""
    step, done, links = current_step.get(), live.progress.links_done, live.chain.links
    if isinstance(step, LoadedTracer):
        return f"tracer {done} {step.name}"
    if done < len(links):
        return f"link {done} {links[done].name}"
    if isinstance(step, LoadedStorage):
        return f"storage {step.name}"
    return f"storage {live.chain.storages[0].name}"  # the only one, in the thread of the links


def _digest(*texts: str) -> str:
    return hashlib.sha256(orjson.dumps(texts)).hexdigest()[:DIGITS]


def _version_of(live: RunState) -> str:
    vcon_uuid = live.progress.vcon
    text = live.memory.known(vcon_uuid)
    if text is None:
        text = VconStore(installed()).text_from_thread(vcon_uuid)
    return version(orjson.loads(text or b"null"))


def version(document: Any) -> str:
    """A digest of a document, the same for every form in which the service keeps it."""
    if not isinstance(document, dict):
        return ""
    told = {name: value for name, value in document.items() if name != "updated_at"}
    for section in _SECTIONS:
        if isinstance(elements := told.get(section), list):
            told[section] = [_told(element) for element in elements]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _told(element: Any) -> Any:
    if not isinstance(element, dict) or "body" not in element:
        return element
    return {**element, "body": bodies.digest_of(element["body"])}
