"""Services, their tokens, and accounts' tokens, which the real Plugboard stores in Postgres.

A restart keeps all of them. A service is deleted softly, a token permanently.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


@dataclass(slots=True, eq=False)
class Service:
    """A service; a child has its parent's id."""

    id: int
    name: str
    inserted_at: datetime
    updated_at: datetime
    parent: "Service | None" = None
    deleted_at: datetime | None = None

    @property
    def path(self) -> str:
        """The names from the root down, joined by slashes."""
        return self.name if self.parent is None else f"{self.parent.path}/{self.name}"

    def public(self) -> dict[str, Any]:
        """The object sent to consumers."""
        return {
            "id": self.id,
            "name": self.name,
            "inserted_at": _timestamp(self.inserted_at),
            "updated_at": _timestamp(self.updated_at),
        }


@dataclass(slots=True, eq=False)
class Token:
    """A service's API token; `value` is the secret a consumer connects with."""

    id: int
    service: Service
    value: str = field(repr=False)
    inserted_at: datetime
    expires_at: datetime
    context: str = "api-token"

    def public(self) -> dict[str, Any]:
        """The object sent to consumers, without the secret."""
        return {
            "id": self.id,
            "context": self.context,
            "service_id": self.service.id,
            "inserted_at": _timestamp(self.inserted_at),
            "expires_at": _timestamp(self.expires_at),
        }


@dataclass(slots=True, eq=False)
class AccountToken:
    """An account's API token for `POST /`; `allowed` is searched for in a service's path."""

    value: str = field(repr=False)
    allowed: re.Pattern[str]


class Directory:
    """All services and tokens of one board; clock and secrets are passed in."""

    def __init__(self, token_lifetime: timedelta) -> None:
        self.services: dict[int, Service] = {}
        self.tokens: dict[int, Token] = {}
        self._accounts: dict[bytes, AccountToken] = {}
        self._token_lifetime = token_lifetime
        self._last_token_id = 0

    def create_service(self, name: str, parent: Service | None, now: datetime) -> Service:
        """Add a service, under a parent if one is given."""
        service = Service(len(self.services) + 1, name, now, now, parent)
        self.services[service.id] = service
        return service

    def rename_service(self, service: Service, name: str, now: datetime) -> None:
        """Change the name; the same name does not change `updated_at`."""
        if service.name != name:
            service.name, service.updated_at = name, now

    def delete_service(self, service: Service, now: datetime) -> None:
        """Delete softly: the service keeps its tokens and continues to work."""
        service.deleted_at = service.updated_at = now

    def descendants(self, service: Service) -> Iterator[Service]:
        """Children, grandchildren and so on that are not deleted."""
        for other in self.services.values():
            if other.parent is service and other.deleted_at is None:
                yield other
                yield from self.descendants(other)

    def find_service(self, key: str) -> Service | None:
        """The service whose id has exactly this text, also if deleted."""
        return next((found for found in self.services.values() if str(found.id) == key), None)

    def create_token(self, service: Service, value: str, now: datetime) -> Token:
        """Issue a token; raises ValueError if the value is no base64url or already in use."""
        if _secret(value) is None or self._token(value) is not None:
            raise ValueError("a token's value must be base64url text that no other token has")
        self._last_token_id += 1
        token = Token(self._last_token_id, service, value, now, now + self._token_lifetime)
        self.tokens[token.id] = token
        return token

    def delete_token(self, token: Token) -> None:
        """Delete a token; consumers connected with it stay connected."""
        self.tokens.pop(token.id, None)

    def valid_token(self, value: str, now: datetime) -> Token | None:
        """The token with this value unless it is unknown, deleted or expired."""
        token = self._token(value)
        return token if token is not None and now < token.expires_at else None

    def create_account_token(self, value: str, allowed: str) -> AccountToken:
        """Issue a bearer token for `POST /`; raises ValueError or re.error on bad arguments."""
        secret = _secret(value)
        if secret is None:
            raise ValueError("a token's value must be base64url text")
        account = self._accounts[secret] = AccountToken(value, re.compile(allowed))
        return account

    def find_account(self, value: str) -> AccountToken | None:
        """The account token with this value, or None."""
        secret = _secret(value)
        return None if secret is None else self._accounts.get(secret)

    def _token(self, value: str) -> Token | None:
        secret = _secret(value)
        if secret is None:
            return None
        return next((t for t in self.tokens.values() if _secret(t.value) == secret), None)


def _secret(value: str) -> bytes | None:
    """The bytes a token stands for (its `=` padding is optional), or None if it is no token."""
    if not _BASE64URL.fullmatch(value):
        return None
    bare = value.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        return None


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
