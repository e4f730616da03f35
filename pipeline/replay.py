"""One dead letter on its way back into a list: what the new run knows of the one that failed."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.storable_text import storable_json
from pipeline import keys
from schemas.dead_letter import DeadLetter
from schemas.run import Run


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a dead letter is queued again: a list, and the chain that reads it."""

    list_name: str
    chain: str


@dataclass(frozen=True, slots=True)
class Replay:
    """One vCon to be queued. `vcon_uuid` is what runs, which a link may have replaced since."""

    letter: DeadLetter
    list_name: str
    vcon_uuid: str
    run_id: str
    journal: bytes
    failed_run: str
    letters: Sequence[str]

    def words(self, positions: Mapping[str, Mapping[str, int]]) -> tuple[Any, ...]:
        """The arguments of the script, in its order; positions by list and uuid."""
        to_run_list = self.list_name.startswith(keys.RUN_LIST)
        element = f"{self.vcon_uuid}|{self.run_id}" if to_run_list else self.vcon_uuid
        head = (self.letter.vcon_uuid, self.vcon_uuid, self.list_name, element)
        return (
            *(*head, self.run_id, self.journal, self.failed_run, len(self.letters)),
            *(
                word
                for name in self.letters
                for word in (name, positions[name].get(self.letter.vcon_uuid, ""))
            ),
        )


def prepared(
    name: str,
    letter: DeadLetter,
    destination: Destination,
    failed: dict[str, Any] | None,
    *,
    from_start: bool,
) -> Replay:
    """A new run for an entry of the dead-letter list `name`.

    It goes on at the step that failed; from the start when asked, or when the failed run's journal
    is not there. The start is the vCon that came in, as long as it is here.
    """
    run_id = str(uuid.uuid4())
    vcon_uuid = (failed and from_start and failed["vcon_in"]) or letter.vcon_uuid
    run = Run(
        run_id=run_id,
        chain=destination.chain,
        vcon_in=vcon_uuid,
        vcon_out=vcon_uuid,
        status="queued",
        ingress_list=None if _is_run_list(destination) else destination.list_name,
        attempts=0,
        queued_at=datetime.now(UTC),
    ).model_dump(mode="json")
    if failed and not from_start:
        done = [step for step in failed["steps"] if step["outcome"] == "ok"]
        run |= {"vcon_out": failed["vcon_out"], "steps": done}
    return Replay(
        letter=letter,
        list_name=destination.list_name,
        vcon_uuid=vcon_uuid,
        run_id=run_id,
        journal=storable_json(run),
        failed_run=letter.run_id if failed and letter.run_id else "",
        letters=[name, *_other_letters(name, failed)],
    )


def _is_run_list(destination: Destination) -> bool:
    return destination.list_name.startswith(keys.RUN_LIST)


def _other_letters(name: str, run: dict[str, Any] | None) -> list[str]:
    """The other storages' lists that this run stands in: one replay serves all of them."""
    steps = run["steps"] if run else []
    failed = [step for step in steps if step["outcome"] == "failed" and step["kind"] == "storage"]
    lists = [keys.storage_dead_letters(step["name"]) for step in failed]
    return [each for each in dict.fromkeys(lists) if each != name]
