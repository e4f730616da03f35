"""A vCon as the index in Postgres has it."""

from datetime import datetime

from pydantic import BaseModel


class StoredVcon(BaseModel, defer_build=True):
    """One vCon: when it was created, the chains it went through, and the storages that have it."""

    uuid: str
    created_at: datetime
    chains: list[str]
    storages: list[str]
