"""What a plugin's calls change outside, and the key that lets a receiver know a repetition.

A plugin declares `effect = "pure"`, `"idempotent"` or `"once"` as an attribute of its module or
class; docs/writing-links.md says what follows from each. `key()` may be called in links, storages
and tracers, sync or async.
"""

from pipeline.runs.effects.keys import key_of_step
from pipeline.runs.marks import OutcomeUnknownError

__all__ = ["OutcomeUnknownError", "key"]


def key(*parts: object) -> str:
    """The effect key of the step that runs: 32 hexadecimal digits.

    The same for every repetition of this step of this run on the same content of the vCon, also
    after a crash and in a replay that goes on with the failed run; another one for another step,
    run or content. A step with several requests gives each `parts` of its own, such as the index
    of a dialog: `key(0)`, `key("summary", 1)`.

    It is computed at the first call, from the vCon as it is then, and kept for this call of the
    plugin. Outside of a run (in a test, in a thread that the plugin has started by itself) each
    call returns another, random one. The vCon is read from Redis, with a wait for the reply, if the
    plugin has not read it before: an async plugin reads it first.

    Raises:
        ConflictError: this call of the plugin was given up.
        UnavailableError: Redis cannot be reached.
    """
    return key_of_step(*parts)
