"""How two things said about one service or token become one row.

The rules are here twice, in Python for rows that still wait and in SQL for rows already written,
and they do not depend on the order in which things are said: a service's name is that of the later
`updated_at`, a token's hash stays once it was told, what was deleted stays deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import case, func
from sqlalchemy.dialects.postgresql import Insert, insert

from core.tables import ServiceRecord, TokenRecord
from schemas.service import Service
from schemas.token import Token

type Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One table of rows that have an `id`."""

    name: str
    merge: Callable[[Row, Row], Row]
    upsert: Insert


def service_row(service: Service, deleted_at: datetime | None = None) -> Row:
    """A row of `services`."""
    return service.model_dump() | {"deleted_at": deleted_at}


def token_row(token: Token, deleted_at: datetime | None = None) -> Row:
    """A row of `tokens`; of the value only its SHA-256 in hex, None where it was not told."""
    value = token.value and token.value.get_secret_value()
    return token.model_dump(exclude={"value"}) | {
        "value_sha256": sha256(value.encode()).hexdigest() if value else None,
        "deleted_at": deleted_at,
    }


def _merged_services(old: Row, new: Row) -> Row:
    latest = new if new["updated_at"] >= old["updated_at"] else old
    return latest | {"deleted_at": _earlier_deletion(old, new)}


def _merged_tokens(old: Row, new: Row) -> Row:
    return new | {
        "value_sha256": new["value_sha256"] or old["value_sha256"],
        "deleted_at": _earlier_deletion(old, new),
    }


def _earlier_deletion(*rows: Row) -> datetime | None:
    return min((row["deleted_at"] for row in rows if row["deleted_at"]), default=None)


def _services_upsert() -> Insert:
    statement = insert(ServiceRecord)
    said, kept = statement.excluded, ServiceRecord
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "name": case((said.updated_at >= kept.updated_at, said.name), else_=kept.name),
            "updated_at": func.greatest(said.updated_at, kept.updated_at),
            "deleted_at": func.least(said.deleted_at, kept.deleted_at),
        },
    )


def _tokens_upsert() -> Insert:
    statement = insert(TokenRecord)
    said, kept = statement.excluded, TokenRecord
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "context": said.context,
            "expires_at": said.expires_at,
            "value_sha256": func.coalesce(said.value_sha256, kept.value_sha256),
            "deleted_at": func.least(said.deleted_at, kept.deleted_at),
        },
    )


SERVICES = Kind("service", _merged_services, _services_upsert())
TOKENS = Kind("token", _merged_tokens, _tokens_upsert())
