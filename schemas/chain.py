"""A chain in answers."""

from pydantic import BaseModel


class ListDepth(BaseModel, defer_build=True):
    """How many vCons wait in one list; `error` is set if it cannot be used."""

    name: str
    depth: int
    error: str | None = None


class ChainSummary(BaseModel, defer_build=True):
    """One configured chain, by names, with the depth of each list it reads and writes.

    `errors`: other keys of it that cannot be used, such as its run list or a dead-letter list.
    `broken`: the problems of its plugins for which it is disabled (`on_broken`).
    """

    name: str
    enabled: bool
    links: list[str]
    storages: list[str]
    ingress_lists: list[ListDepth]
    egress_lists: list[ListDepth]
    errors: list[str] = []
    broken: list[str] = []
