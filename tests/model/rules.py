"""The decisions of the protocol, each one a rule that the model can switch off.

`Rules()` is the protocol as it is built, `without(rule)` the same without one rule; the search
finds a fault in each of those. Some sentences have no switch, since in the bounds of
the scenarios nothing is found without them: slices lock the rows they read, and check that Redis is
the one on which the recovery began; pc:history is written to Postgres before anything is taken out;
take-out removes rows from `pc:about`; a row is void after a released one of the same content.
"""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """Each field is one sentence of the protocol. False leaves that sentence out."""

    commit_before_answer: bool = True
    """A request is answered after its row is committed, not before."""
    storage_before_release: bool = True
    """A row is released after the storages have the vCon, not before."""
    postgres_before_redis: bool = True
    """Settling commits the release in Postgres, then calls `settle.lua`."""
    gate_on_claims: bool = True
    """`claim.lua` claims only on a server that `pc:epoch` names."""
    take_out_before_approval: bool = True
    """Recovery takes out what is settled before it approves the server."""
    latest_row_counts: bool = True
    """An open row with a later row of the same vCon and place beside it is void."""
    retention_closes_void_rows: bool = True
    """Before a row is pruned, those that are void because of it are closed."""
    superseded_is_fenced: bool = True
    """A replica that sees a server which another one has replaced removes its `server` field, so
    that nothing is claimed there, and turns to the other.
    """
    named_rows_are_kept: bool = True
    """A request drops its rows, except one that Redis names (recovery may have queued it)."""
    stale_scripts_are_refused: bool = True
    """`ingest.lua` refuses a row that is older than the one whose document Redis has."""
    generation_is_compared: bool = True
    """`ingest.lua` queues only on an approved server of the generation that the row was committed
    under.
    """
    later_rows_are_left: bool = True
    """Recovery queues no rows that were committed after its approval."""
    known_by_ref: bool = True
    """Redis knows a row as long as `pc:about` names it or a later one, also after `settle.lua`."""
    known_by_content: bool = True
    """Redis knows a row if `pc:about` has its content and its list."""
    looks_raise_the_counter: bool = True
    """Each look of the watch takes a number of `pc:tokens` and writes it to Postgres."""
    taken_out_by_ref: bool = True
    """Take-out compares rows, not only the fencing tokens of releases."""
    tokens_fence_releases: bool = True
    """A release with a lower token than one before it for the same run changes nothing."""
    generation_fences_release: bool = True
    """A release is refused if Redis was recovered since its claim was last known to be held."""


NEEDED = tuple(field.name for field in fields(Rules))
"""Every rule; the search must find a fault without it."""


def without(rule: str) -> Rules:
    """The protocol without one rule."""
    return replace(Rules(), **{rule: False})
