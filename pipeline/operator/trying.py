"""Trying a configuration on recorded runs or given vCons, without changing anything."""

import asyncio
import time
from collections.abc import Sequence

from core.concurrency.thread_pool import in_own_thread
from core.errors import ConflictError, InvalidError, PatchcordError, UnknownNameError
from core.operator_interfaces import Call, Operation
from pipeline.config.parser import PipelineConfig
from pipeline.law.basis.records import RecordedBasis
from pipeline.operator.configuration_text import read_text, redacted
from pipeline.operator.parts import Parts
from pipeline.operator.trial.memory import as_document
from pipeline.operator.trial.messages import How, Loaded, Request, Setup
from pipeline.operator.trial.sandbox import Sandbox, plain_settings
from pipeline.operator.trial.subjects import Subject, Subjects, unusable
from pipeline.operator.trial.verdicts import (
    ended_early,
    link_plans,
    notes_on,
    recorded,
    tried_vcon,
    verdict,
)
from schemas.operator.configuration import NotTried, Totals, Trial, TrialResult, TriedVcon

TRY = Operation(
    "try_configuration",
    "Run vCons through a configuration, storing and sending nothing",
    Trial,
    TrialResult,
    people=True,
)
PROGRESS = 10
"""vCons from one line of progress to the next."""
OUT_OF_TIME = "the time of the whole trial is over (TRY_SECONDS)"


class ConfigurationTrials:
    """Runs one trial at a time in this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turn = asyncio.Lock()
        self._subjects = Subjects(parts.redis, parts.archive, parts.lookup)

    async def try_out(self, trial: Trial, call: Call) -> TrialResult:
        """Run vCons through the chains of a configuration, and compare.

        Raises:
            ConflictError: another trial runs in this process.
            UnknownNameError: the configuration has no such chain or link.
            InvalidError: vCons are given, and it is not clear for which chain.
            PluginFailedError: the process of the trial cannot load the links.
            UnavailableError: Redis or Postgres cannot be reached.
        """
        if self._turn.locked():
            raise ConflictError("another trial runs in this process; try again when it has ended")
        async with self._turn:
            read = await read_text(trial.content, self._parts.settings)
            if read.config is None:
                result = TrialResult(verdict="not valid", problems=read.problems)
            else:
                result = await self._tried(trial, read.config, call)
            return await in_own_thread(redacted, result, trial.content)

    async def _tried(self, trial: Trial, after: PipelineConfig, call: Call) -> TrialResult:
        before = self._parts.configuration.config
        told = _told(trial, after)
        if trial.chain is not None and trial.chain not in after.chains:
            raise UnknownNameError("chain", trial.chain, list(after.chains))
        most_bytes = self._parts.settings.max_vcon_bytes
        found = await (
            self._subjects.given(trial.vcons, trial.chain, after, most_bytes)
            if trial.vcons
            else self._subjects.recorded(trial.last, trial.chain, after)
        )
        notes = await in_own_thread(notes_on, found.subjects, before)
        result = TrialResult(verdict="nothing tried", notes=notes, not_tried=found.not_tried)
        if not found.subjects:
            result.totals = Totals(not_tried=len(found.not_tried))
            return result
        setup = self._setup(before, after, found.subjects)
        async with Sandbox(setup) as box:
            loaded = await box.load()
            result.links = link_plans(loaded, told, is_recorded=not trial.vcons)
            await self._each(box, loaded, found.subjects, told, result, call, after)
        return verdict(result)

    def _setup(
        self, before: PipelineConfig, after: PipelineConfig, subjects: Sequence[Subject]
    ) -> Setup:
        chains = tuple(dict.fromkeys(each.chain for each in subjects))
        settings = self._parts.settings
        return Setup(
            before=before,
            after=after,
            before_chains=tuple(name for name in chains if name in before.chains),
            after_chains=chains,
            modules=settings.modules_dir,
            settings=plain_settings(settings),
            memory=settings.try_memory,
            seconds=settings.try_vcon_seconds,
        )

    async def _each(
        self,
        box: Sandbox,
        loaded: Loaded,
        subjects: Sequence[Subject],
        told: dict[str, How],
        result: TrialResult,
        call: Call,
        after: PipelineConfig,
    ) -> None:
        ends = time.monotonic() + self._parts.settings.try_seconds
        for number, subject in enumerate(subjects, 1):
            if number % PROGRESS == 1 or number == len(subjects):
                call.progress(f"vCon {number} of {len(subjects)}")
            if time.monotonic() > ends:
                result.not_tried.append(unusable(subject, OUT_OF_TIME))
                continue
            tried = await self._one(box, subject, subject.chain in loaded.before, told, after)
            if isinstance(tried, TriedVcon):
                result.vcons.append(tried)
            else:
                result.not_tried.append(tried)

    async def _one(
        self,
        box: Sandbox,
        subject: Subject,
        has_before: bool,
        told: dict[str, How],
        after: PipelineConfig,
    ) -> TriedVcon | NotTried:
        try:
            document = subject.document or await self._subjects.document(subject)
            bases = await self._recorded_bases(subject, document, after)
        except PatchcordError as error:
            return unusable(subject, str(error))
        run = subject.run
        request = Request(
            vcon_uuid=subject.vcon,
            document=document,
            before=subject.chain if has_before else None,
            after=subject.chain,
            told=told,
            recorded=None if run is None else recorded(run),
            bases=bases,
        )
        began = time.monotonic()
        tried = await box.trial(request)
        if isinstance(tried, str):
            return ended_early(subject, tried, time.monotonic() - began)
        return tried_vcon(subject, tried, time.monotonic() - began)

    async def _recorded_bases(
        self, subject: Subject, document: bytes, after: PipelineConfig
    ) -> Sequence[RecordedBasis]:
        """What was recorded beside the vCon, if a link of its chain asks for a purpose."""
        configs = after, self._parts.configuration.config
        chains = [
            config.chains[subject.chain] for config in configs if subject.chain in config.chains
        ]
        if not any(step.requires for chain in chains for step in chain.links):
            return ()
        parties = (await in_own_thread(as_document, document)).get("parties")
        listed = parties if isinstance(parties, list) else ()
        return await self._parts.recorded_bases.of(subject.vcon, listed)


def _told(trial: Trial, after: PipelineConfig) -> dict[str, How]:
    """How links are to be treated, by name.

    Raises:
        UnknownNameError: no chain of the configuration has such a link.
        InvalidError: a link is named twice.
    """
    known = {step.name for chain in after.chains.values() for step in chain.links}
    told: dict[str, How] = {}
    ways: dict[How, list[str]] = {"run": trial.run, "stub": trial.stub, "skip": trial.skip}
    for how, names in ways.items():
        for name in names:
            if name not in known:
                raise UnknownNameError("link", name, sorted(known))
            if told.setdefault(name, how) != how:
                msg = f"{how}: the link {name} is also among those to {told[name]}; name it once"
                raise InvalidError(msg, [msg])
    return told
