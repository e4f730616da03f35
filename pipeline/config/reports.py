"""What a configuration tells its operator: notes, and the chains that are disabled as broken."""

import logging
from collections.abc import Sequence

from pipeline.config.model import PipelineConfig
from pipeline.config.sections import spelled

log = logging.getLogger(__name__)

MOST_NOTES = 50
"""The most notes that are logged each time a configuration is loaded."""


def log_notes(notes: Sequence[str]) -> None:
    """Log each note on a configuration in a line of its own, up to `MOST_NOTES`."""
    for note in notes[:MOST_NOTES]:
        log.warning("configuration note", extra={"error": note})
    if len(notes) > MOST_NOTES:
        more = len(notes) - MOST_NOTES
        log.warning("further configuration notes: run `check`", extra={"count": more})


def log_broken(config: PipelineConfig) -> None:
    """Log each problem of a chain that is disabled as it is broken."""
    for chain in config.chains.values():
        for text in chain.broken:
            log.error("chain disabled, it is broken", extra={"chain": chain.name, "error": text})


def broken_notes(config: PipelineConfig) -> list[str]:
    """A line for each problem of a disabled chain."""
    return [
        f"{spelled(('chains', chain.name))} is disabled, as it is broken: {text}"
        for chain in config.chains.values()
        for text in chain.broken
    ]
