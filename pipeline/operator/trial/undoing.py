"""Taking out of a stored vCon what the pure links of its recorded run made.

A stored vCon has the tags and analyses of its run. A changed link would add its own beside them, or
find its entry and add nothing. What a pure link has made can be found out: without all entries of
one kind, it makes its own again, and those of them that the stored vCon has are taken out. Links
are undone in the reverse order of the run, so each sees the vCon as it was when it was called.
An entry that came in with the vCon and equals one that a link makes is taken out as well: the link
would make it.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from pipeline.config.parser import LinkStep
from pipeline.operator.trial.guard import Refusals
from pipeline.operator.trial.memory import TrialRedis, as_document
from pipeline.operator.trial.passage import Passages, Way, treatment
from pipeline.operator.trial.views import PARTS, Document, Part, less, made, without
from pipeline.plugins.loader import LoadedLink


class Undoing:
    """Finds what links made by calling them again."""

    def __init__(self, redis: TrialRedis, passages: Passages, refusals: Refusals) -> None:
        self._redis = redis
        self._passages = passages
        self._refusals = refusals

    async def before(self, vcon_uuid: str, text: bytes, way: Way) -> tuple[bytes, list[str]]:
        """The vCon before the recorded run, as far as it can be told; and the links undone.

        `way` is the chain of the run with the outcomes that were recorded.
        """
        document, undone = as_document(text), list[str]()
        for step in reversed(self._repeatable(way)):
            link = way.links[step.plugin]
            assert isinstance(link, LoadedLink)
            for part in PARTS:
                if items := await self._made_by(step, link, vcon_uuid, document, part):
                    document = less(document, part, items)
                    undone.append(step.name)
        names = list(dict.fromkeys(undone))[::-1]
        return (_text(document) if names else text), names

    @staticmethod
    def _repeatable(way: Way) -> Sequence[LinkStep]:
        """The links that ran, and that may be called here."""
        outcomes = way.recorded.outcomes if way.recorded else {}
        ran = [step for step in way.chain.links if outcomes.get(step.name) in ("ok", "halted")]
        return [step for step in ran if treatment(step, way)[0] == "run"]

    async def _made_by(
        self, step: LinkStep, link: LoadedLink, vcon_uuid: str, document: Document, part: Part
    ) -> list[Any]:
        """The items of a part that the link makes again where the vCon has none."""
        bare = without(document, part)
        if not (had := made(bare, document, part)):
            return []
        self._redis.begin(vcon_uuid, _text(bare))
        try:
            await self._passages.call(vcon_uuid, step, link)
        except Exception:  # noqa: BLE001 -- what a link cannot make again is not its own
            self._refusals.take()
            return []
        if self._refusals.take():
            return []
        again = made(bare, as_document(self._redis.text), part)
        return _common(had, again)


def _common(items: list[Any], others: list[Any]) -> list[Any]:
    """The items that equal one of the others, each of those once."""
    left, found = list(others), []
    for item in items:
        if item in left:
            left.remove(item)
            found.append(item)
    return found


def _text(document: Document) -> bytes:
    return orjson.dumps(document)
