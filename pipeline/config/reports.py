"""What a configuration tells its operator: notes, chains that are disabled as broken, the law."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pipeline.config.environment import Where
from pipeline.config.law import Law, Trust
from pipeline.config.law_section import pem
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import spelled

log = logging.getLogger(__name__)

MOST_NOTES = 50
"""The most notes that are logged each time a configuration is loaded."""
EXPIRES_SOON = timedelta(days=30)
"""How long before its end a certificate is noted."""


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


def law_notes(config: PipelineConfig, now: datetime) -> list[str]:
    """What the law demands where; certificates that are or will soon be of no use."""
    if config.law is None:
        return []
    basis = config.law.basis
    demands = ", ".join(_demands(config)) or "nothing"
    profile = "" if basis is None else f", by {basis.profile}"
    return [
        f"law: requires{profile}: {demands}",
        *_validity(config, config.law, now),
        *_no_anchors(config.law.trust),
    ]


def _demands(config: PipelineConfig) -> Iterator[str]:
    parts = (("links", config.links), ("storages", config.storages), ("tracers", config.tracers))
    for section, steps in parts:
        for name, step in steps.items():
            if step.requires:
                yield f"{spelled((section, name))} ({step.requires})"
    for name, chain in config.chains.items():
        if chain.egress and chain.egress.requires:
            yield f"{spelled(('chains', name, 'egress'))} ({chain.egress.requires})"


def _validity(config: PipelineConfig, law: Law, now: datetime) -> Iterator[str]:
    anchors: list[tuple[Where, str]] = [
        (("law", "trust", "anchors", place), text) for place, text in enumerate(law.trust.anchors)
    ]
    keys: list[tuple[Where, str]] = [
        (("law", "keys", name, "chain"), key.chain) for name, key in law.keys.items()
    ]
    recipients: list[tuple[Where, str]] = [
        (("chains", name, "egress", "encrypt_for", place), text)
        for name, chain in config.chains.items()
        for place, text in enumerate(chain.egress.encrypt_for if chain.egress else ())
    ]
    for where, text in (*anchors, *keys, *recipients):
        for each in pem.certificates(text) if "CERTIFICATE" in text else ():
            ends = each.not_valid_after_utc
            if each.not_valid_before_utc > now:
                yield f"{spelled(where)}: valid from {each.not_valid_before_utc:%Y-%m-%d} on"
            elif ends < now + EXPIRES_SOON:
                verb = "expired" if ends < now else "expires"
                yield f"{spelled(where)}: {verb} on {ends:%Y-%m-%d}"


def _no_anchors(trust: Trust) -> Iterator[str]:
    """A note for each anchor at which no signer's chain can end."""
    for place, text in enumerate(trust.anchors):
        for each in pem.certificates(text):
            is_legacy = trust.legacy_chains and each.version.value == 0
            if not is_legacy and (lack := pem.fault(each)):
                where = spelled(("law", "trust", "anchors", place))
                name = pem.subject_of(each)
                yield f"{where}: {name} {lack}: no chain of a signer can end at it"
