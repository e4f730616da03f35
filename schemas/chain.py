"""A chain as callers see it."""

from pydantic import BaseModel


class ListDepth(BaseModel):
    """How many vCons wait in one list."""

    name: str
    depth: int


class ChainSummary(BaseModel):
    """One configured chain, by names, with the depth of each list it reads and writes."""

    name: str
    enabled: bool
    links: list[str]
    storages: list[str]
    ingress_lists: list[ListDepth]
    egress_lists: list[ListDepth]
