"""Showing the running configuration, and comparing another one with it."""

import asyncio
from typing import Any

import yaml

from core.concurrency.thread_pool import in_own_thread
from core.errors import UnavailableError, UnusableKeyError
from core.operator_interfaces import Call, Operation
from pipeline.config.masking import Masks, mask_key
from pipeline.config.parser import PipelineConfig
from pipeline.config.reports import broken_notes
from pipeline.operator.configuration_diff import (
    chain_changes,
    confirmations,
    key_changes,
    list_changes,
    restart_needs,
    section_changes,
)
from pipeline.operator.configuration_text import Read, read_text, redacted
from pipeline.operator.parts import Parts
from pipeline.operator.trial.messages import CheckSetup
from pipeline.operator.trial.sandbox import check, plain_settings
from pipeline.redis_client.client import CommandRefused
from schemas.operator.configuration import (
    Change,
    ConfigurationDiff,
    ConfigurationText,
    ListChange,
    NoParameters,
    ShownConfiguration,
)

SHOW = Operation(
    "config_show",
    "The running configuration, with masks for secrets",
    NoParameters,
    ShownConfiguration,
)
DIFF = Operation(
    "config_diff", "What a configuration would change", ConfigurationText, ConfigurationDiff
)
_COUNTED = 100
"""Lists whose vCons are counted at once."""


class ConfigurationView:
    """Reads configurations; changes nothing, installs nothing."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turn = asyncio.Lock()

    async def show(self, _parameters: NoParameters, _call: Call) -> ShownConfiguration:
        """The running configuration as it is written, with masks for secrets.

        Raises:
            TooLargeError: it has too many values to be shown.
        """
        running = self._parts.configuration
        return ShownConfiguration(
            hash=await in_own_thread(_hash, running.config),
            notes=[*broken_notes(running.config), *running.notes],
            document=await in_own_thread(lambda: self._masked(self._running())),
        )

    async def diff(self, given: ConfigurationText, _call: Call) -> ConfigurationDiff:
        """What a configuration would change, and what a start would say of it.

        Raises:
            TooLargeError: one of the two has too many values to be shown.
        """
        async with self._turn:  # each starts a process
            return await in_own_thread(redacted, await self._diff(given), given.content)

    async def _diff(self, given: ConfigurationText) -> ConfigurationDiff:
        before = self._parts.configuration.config
        read = await read_text(given.content, self._parts.settings)
        if read.config is None:
            old = await in_own_thread(_hash, before)
            return ConfigurationDiff(
                same=False, hash_before=old, hash_after=None, problems=read.problems
            )
        plain = plain_settings(self._parts.settings)
        said = await check(CheckSetup(read.config, self._parts.settings.modules_dir, plain))
        found = await in_own_thread(self._compared, before, read.config, read)
        await self._count(found.lists)
        found.problems += said.problems
        found.notes += [*read.config.notes, *said.notes]
        found.modules, found.not_checked = said.modules, said.not_checked
        return found

    def _compared(
        self, before: PipelineConfig, after: PipelineConfig, read: Read
    ) -> ConfigurationDiff:
        old, new = self._masked(self._running()), self._masked(read)
        hashes = _hash(before), _hash(after)
        chains: list[Change] = chain_changes(before, after, old, new)
        sections = section_changes(old, new)
        keys = key_changes(before, after)
        return ConfigurationDiff(
            same=hashes[0] == hashes[1] and not (chains or sections or keys),
            hash_before=hashes[0],
            hash_after=hashes[1],
            chains=chains,
            sections=sections,
            lists=list_changes(before, after),
            keys=keys,
            restart=restart_needs(before, after),
            confirm=confirmations(before, after),
        )

    def _running(self) -> Read:
        """The running configuration as it is written."""
        return Read(yaml.safe_load(self._parts.content()))

    def _masked(self, read: Read) -> dict[str, Any]:
        key = mask_key(self._parts.settings.postgres_password.get_secret_value())
        shown = Masks(key).document(read.document)
        return shown if isinstance(shown, dict) else {}

    async def _count(self, lists: list[ListChange]) -> None:
        """Note how many vCons wait in each list; None where Redis cannot tell."""
        for first in range(0, len(lists), _COUNTED):
            group = lists[first : first + _COUNTED]
            counts = await asyncio.gather(*(self._waiting(each.name) for each in group))
            for each, count in zip(group, counts, strict=True):
                each.waiting = count

    async def _waiting(self, name: str) -> int | None:
        try:
            return int(await self._parts.redis.command("LLEN", name))
        except (UnavailableError, UnusableKeyError, CommandRefused):
            return None


def _hash(config: PipelineConfig) -> str:
    return config.hash
