"""Who may open the console: API tokens and passwords, and the role of each.

A session is bound to the secret that opened it: Redis holds a digest of that secret, keyed by the
cookie. So a session ends when its password is taken out of the settings, a person who reads Redis
learns no password, and one who writes to Redis opens no session.
"""

import hashlib
import hmac
from collections.abc import Iterable
from enum import Enum

from core.secrets.console_passwords import ConsolePasswords
from schemas.ingress_key import SHORTEST_KEY


class Role(Enum):
    """What a session may do."""

    READER = "reader"
    OPERATOR = "operator"
    """May change things."""


class Credential:
    """One token or password."""

    def __init__(self, secret: str, role: Role) -> None:
        self._secret = secret.encode()
        self.role = role
        self.is_unguessable = len(secret) >= SHORTEST_KEY
        """It is accepted even while attempts are throttled."""

    def is_given(self, text: bytes) -> bool:
        """Whether this is the secret; the time does not depend on where they differ."""
        return hmac.compare_digest(self._secret, text)

    def proof(self, cookie: str) -> str:
        """What is recorded of this secret in a session."""
        return hmac.new(cookie.encode(), self._secret, hashlib.sha256).hexdigest()


class Credentials:
    """All that open the console of this process."""

    def __init__(self, tokens: Iterable[str], passwords: ConsolePasswords) -> None:
        operators = {*tokens, *passwords.operators}
        self._known = [Credential(each, Role.OPERATOR) for each in operators]
        readers = passwords.readers - operators
        self._known += [Credential(each, Role.READER) for each in readers]

    @property
    def are_none(self) -> bool:
        """True if nothing opens the console."""
        return not self._known

    def given(self, secret: str) -> Credential | None:
        """The credential with this secret; each one is compared."""
        text = secret.encode("utf-8", "replace")
        found = [each for each in self._known if each.is_given(text)]
        return found[0] if found else None

    def behind(self, cookie: str, proof: str) -> Credential | None:
        """The credential that a session was opened with; None if it opens the console no more."""
        found = [e for e in self._known if hmac.compare_digest(e.proof(cookie), proof)]
        return found[0] if found else None
