"""Destinations: the servers that links and storages call, their limits and their circuit breakers.

A link or a storage names its destination and its limits beside `module`. Several may share one
destination: its limits hold for all of them together, so each limit may be given once, or several
times with the same value.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter

from pipeline.config.environment import Where
from pipeline.config.model import Breaker, Destination, LinkStep, StorageSpec
from pipeline.config.sections import TEXT, Findings, Kind, Section, spelled

LONGEST_NAME = 100
MOST_IN_FLIGHT = 10_000
MOST_A_MINUTE = 1_000_000
MOST_FAILURES = 1000
LONGEST_OPEN = 86_400
KEYS = ("destination", "max_in_flight", "requests_per_minute", "breaker")
"""The keys of a link or a storage that give it a destination."""
NO_BREAKER = Breaker(failures=0)
_NAME = re.compile(rf"[\w.:@/+-]{{1,{LONGEST_NAME}}}")
_SPELLED_OFF = ("off", "no", "false")
_SPELLED_ON = ("on", "yes", "true")


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a switch is no number")  # noqa: TRY004 -- Pydantic takes ValueError
    return value


def _whole(most: int) -> Kind[int | None]:
    number = Annotated[int, BeforeValidator(_no_switch), Field(ge=1, le=most)]
    return Kind(TypeAdapter(number), f"a whole number from 1 to {most}")


IN_FLIGHT = _whole(MOST_IN_FLIGHT)
A_MINUTE = _whole(MOST_A_MINUTE)
FAILURES = _whole(MOST_FAILURES)
OPEN: Kind[float | None] = Kind(
    TypeAdapter(Annotated[float, BeforeValidator(_no_switch), Field(gt=0, le=LONGEST_OPEN)]),
    f"a number of seconds above 0, at most {LONGEST_OPEN}",
)


@dataclass(frozen=True, slots=True)
class _Given:
    """What one link or storage says about its destination."""

    where: Where
    destination: Destination


def read_destination(name: str, entry: Section) -> Destination | None:
    """The destination of a link or storage as this entry alone gives it; None without any key."""
    given_keys = [key for key in KEYS if entry.raw(key) is not None]  # so that each is known
    if not given_keys:
        return None
    given = entry.value("destination", TEXT, "")
    if not _NAME.fullmatch(given or name):
        entry.findings.problem((*entry.where, "destination"), _name_problem(given))
    return Destination(
        name=given or name,
        max_in_flight=entry.value("max_in_flight", IN_FLIGHT, None),
        requests_per_minute=entry.value("requests_per_minute", A_MINUTE, None),
        breaker=_breaker(entry),
    )


def _name_problem(given: str) -> str:
    wanted = f"letters, digits and . : @ / + - _, at most {LONGEST_NAME}"
    if given:
        return f"must be {wanted}"
    return f"is missing: the name of this entry cannot be a destination's, which has {wanted}"


def _breaker(entry: Section) -> Breaker | None:
    """`breaker`: a mapping, or a switch; YAML reads `off` as false."""
    content = entry.raw("breaker")
    spelt = str(content).strip().casefold() if isinstance(content, bool | str) else ""
    if spelt in _SPELLED_OFF:
        return NO_BREAKER
    if content is None or spelt in _SPELLED_ON:
        return None if content is None else Breaker()
    if not isinstance(content, Mapping):
        where = (*entry.where, "breaker")
        entry.findings.problem(where, "must be off, or a mapping with failures and seconds")
        return None
    section = entry.section("breaker")
    breaker = Breaker(
        section.value("failures", FAILURES, None) or Breaker().failures,
        section.value("seconds", OPEN, None) or Breaker().seconds,
    )
    section.note_unread()
    return breaker


def share_destinations(
    links: Mapping[str, LinkStep], storages: Mapping[str, StorageSpec], findings: Findings
) -> tuple[dict[str, LinkStep], dict[str, StorageSpec]]:
    """The same links and storages, each with all that is said about its destination.

    Different values of one limit are a problem that names both entries.
    """
    named: defaultdict[str, list[_Given]] = defaultdict(list)
    for given in _all_given(links, storages):
        named[given.destination.name].append(given)
    merged = {name: _merged(name, several, findings) for name, several in named.items()}

    def whole[T: (LinkStep, StorageSpec)](entry: T) -> T:
        own = entry.destination
        return entry if own is None else replace(entry, destination=merged[own.name])

    return (
        {name: whole(link) for name, link in links.items()},
        {name: whole(storage) for name, storage in storages.items()},
    )


def _all_given(
    links: Mapping[str, LinkStep], storages: Mapping[str, StorageSpec]
) -> Iterator[_Given]:
    for section, entries in (("links", links), ("storages", storages)):
        for name, entry in entries.items():
            if entry.destination is not None:
                yield _Given((section, name), entry.destination)


def _merged(name: str, several: list[_Given], findings: Findings) -> Destination:
    limits = {key: _agreed(key, several, findings) for key in KEYS[1:]}
    return Destination(name, **{**limits, "breaker": limits["breaker"] or Breaker()})


def _agreed(key: str, several: list[_Given], findings: Findings) -> Any:
    """The value of a limit that one or more entries give; None if none does."""
    given = [(each.where, getattr(each.destination, key)) for each in several]
    told = [pair for pair in given if pair[1] is not None]
    for where, value in told[1:]:
        first, known = told[0]
        if value != known:
            name = several[0].destination.name
            findings.problem(
                (*where, key),
                f"{_shown(value)} contradicts {spelled((*first, key))}: {_shown(known)}; both are "
                f"about destination {name!r}: give the limit once, or equally",
            )
    return told[0][1] if told else None


def _shown(value: object) -> str:
    if not isinstance(value, Breaker):
        return str(value)
    if not value.failures:
        return "off"
    return f"{value.failures} failures, {value.seconds:g} s"
