"""One vCon's way through the links of a chain, in the process of a trial.

A link is called if it is pure (`pipeline.plugins.contract.is_pure`) or the caller said so, and the
law allows its purpose for this vCon. Others
are stubbed: the run goes on as it was recorded, and what the link made is in the stored vCon
already. Without a record they are skipped. Storages, tracers and egress lists are left out.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from core.errors import PluginFailedError
from pipeline.config.parser import Chain, LinkStep, PluginSpec
from pipeline.operator.trial.guard import Refusals
from pipeline.operator.trial.memory import TrialRedis, as_document
from pipeline.operator.trial.messages import How, Passage, Recorded, StepTried
from pipeline.operator.trial.views import view
from pipeline.plugins.errors import describe
from pipeline.plugins.loader import LoadedLink, seconds_of
from pipeline.runs import plan
from pipeline.runs.calls import PluginCalls

type Links = Mapping[PluginSpec, LoadedLink | PluginFailedError]
type Tell = Callable[[str], None]
"""Takes the name of the link that is called next."""

NOT_PURE = "does not declare pure"


@dataclass(frozen=True, slots=True)
class Way:
    """A chain with its links, and how links are to be treated, by name."""

    chain: Chain
    links: Links
    told: Mapping[str, How]
    recorded: Recorded | None = None
    modules: Mapping[str, str] | None = None
    """The modules of the recorded run's links, by name; None: those of this chain."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why the law does not allow a purpose for the vCon as it was given, by purpose."""


def treatment(step: LinkStep, way: Way) -> tuple[How, str]:
    """Whether a link is called, and if not, why."""
    told, loaded = way.told.get(step.name), way.links[step.plugin]
    if told == "skip":
        return "skip", "as told"
    if step.requires is not None and (refused := way.refused.get(step.requires)):
        return "skip", refused
    if told != "stub" and isinstance(loaded, LoadedLink) and (loaded.pure or told == "run"):
        return "run", ""
    why = "as told" if told == "stub" else NOT_PURE
    if isinstance(loaded, PluginFailedError) and told != "stub":
        why = f"cannot be loaded: {loaded}"
    if way.recorded is None or step.name not in way.recorded.outcomes:
        return "skip", f"{why}; nothing is recorded of it for this vCon"
    if way.modules is not None and way.modules.get(step.name) != step.plugin.module:
        return "skip", f"{why}; what is recorded is of another module"
    return "stub", why


class Passages:
    """Runs vCons through chains, one at a time."""

    def __init__(
        self, redis: TrialRedis, calls: PluginCalls, refusals: Refusals, tell: Tell
    ) -> None:
        self._redis = redis
        self._calls = calls
        self._refusals = refusals
        self._tell = tell

    async def run(self, vcon_uuid: str, document: bytes, way: Way) -> Passage:
        """Run a vCon through a chain; the document given is not changed."""
        self._redis.begin(vcon_uuid, document)
        passage = Passage(ended="done")
        progress = plan.Progress(vcon=vcon_uuid)
        while isinstance(move := plan.next_move(way.chain, progress), plan.RunLink):
            progress = await self._step(way.chain.links[move.index], way, progress, passage)
        if progress.ended in ("halted", "failed"):
            passage.ended = progress.ended
        passage.error = _cut(progress.error or "")
        passage.view = view(as_document(self._redis.text))
        passage.expires = self._redis.expiry
        return passage

    async def _step(
        self, step: LinkStep, way: Way, progress: plan.Progress, passage: Passage
    ) -> plan.Progress:
        how, why = treatment(step, way)
        began = time.perf_counter()
        if how == "run":
            after = await self._called(step, way, progress, passage)
        elif how == "stub" and way.recorded is not None:
            after = _as_recorded(step.name, way.recorded, progress)
        else:
            after = replace(progress, links_done=progress.links_done + 1)
        outcome = "skipped" if how == "skip" else plan.outcome(after)
        seconds = time.perf_counter() - began if how == "run" else 0
        tried = StepTried(
            link=_cut(step.name),
            how=how,
            outcome=outcome,
            why=_cut(why),
            error=_cut(after.error or ""),
            seconds=round(seconds, 6),
        )
        passage.steps.append(tried)
        return after

    async def _called(
        self, step: LinkStep, way: Way, progress: plan.Progress, passage: Passage
    ) -> plan.Progress:
        link = way.links[step.plugin]
        assert isinstance(link, LoadedLink)
        self._tell(step.name)
        try:
            returned = await self.call(progress.vcon, step, link)
        except TimeoutError as error:
            passage.recycle = True
            after = plan.after_failure(progress, describe(error))
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything
            after = plan.after_failure(progress, describe(error))
        else:
            after = _after(progress, returned)
        if refused := self._refusals.take():
            text = f"did what a pure link does not do: {'; '.join(refused)}"
            return plan.after_failure(progress, text)
        return after

    async def call(self, vcon_uuid: str, step: LinkStep, link: LoadedLink) -> object:
        """Call a link as a worker does, once: a pure link fails again with the same vCon."""
        return await self._calls.call(
            _plain_async if link.is_async else _plain,
            link,
            vcon_uuid,
            is_async=link.is_async,
            timeout=seconds_of(step.timeout, link),
            plugin={"link": link.name},
        )


def _plain(link: LoadedLink, vcon_uuid: str) -> object:
    return plan.returned_value(link.run(vcon_uuid, link.name, link.fresh_options()))


async def _plain_async(link: LoadedLink, vcon_uuid: str) -> object:
    return plan.returned_value(await link.run(vcon_uuid, link.name, link.fresh_options()))


def _after(progress: plan.Progress, returned: object) -> plan.Progress:
    after = plan.after_link(progress, returned)
    if after.vcon != progress.vcon:
        text = "it continues with another vCon, and a trial has one"
        return plan.after_failure(progress, text)
    return after


def _as_recorded(name: str, recorded: Recorded, progress: plan.Progress) -> plan.Progress:
    match recorded.outcomes[name]:
        case "halted":
            return plan.after_link(progress, None)
        case "failed":
            error = recorded.errors.get(name) or "as recorded"
            return plan.after_failure(progress, error)
        case _:
            return replace(progress, links_done=progress.links_done + 1)


def _cut(text: str) -> str:
    return text[:500]
