"""The service's Plugboard tokens: the one in use, and those that may take its place.

Values stay in memory. They are `SecretStr`, so nothing here shows one by accident.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from schemas.token import Token

MOST_SPARE = 4
"""How many new tokens are remembered; each could only be tried in turn."""


@dataclass(slots=True)
class Credential:
    """One token's value, and what the Plugboard has said of it so far."""

    value: SecretStr
    token_id: int | None = None
    expires_at: datetime | None = None
    deleted: bool = False
    refused: bool = False
    """Whether it was answered with 403 since the last join."""

    def is_known_useless(self, now: datetime) -> bool:
        """Whether the Plugboard has said that it lets this token in no more."""
        return self.deleted or (self.expires_at is not None and self.expires_at <= now)


class Credentials:
    """Which token to connect with."""

    def __init__(self, value: SecretStr) -> None:
        """`value` is the configured token, of which nothing else is known before the first join."""
        self._known = deque([Credential(value)])

    @property
    def present(self) -> Credential:
        """The one in use: joined with it, or about to try it."""
        return self._known[0]

    def for_connecting(self, now: datetime) -> Credential:
        """The one to connect with; it is the present one from now on.

        A present one that is known to be deleted or to have expired is passed over while there is
        another. A deleted one is forgotten then; an expired one keeps a turn, because this clock
        may be wrong.
        """
        useful = [each for each in self._known if not each.is_known_useless(now)]
        if self.present.is_known_useless(now) and useful:
            expired = [each for each in self._known if each not in useful and not each.deleted]
            self._known = deque([*useful, *expired])
        return self.present

    def joined(self, token: Token) -> None:
        """The Plugboard let us in with the present one, and says what it is."""
        self.present.token_id = token.id
        self.present.expires_at = token.expires_at
        for each in self._known:
            each.refused = False

    def created(self, token: Token) -> None:
        """A new token of our service: the next one to try if the present one is refused."""
        known = {credential.token_id for credential in self._known}
        if token.value is None or token.id in known:
            return
        self._known.insert(1, Credential(token.value, token.id, token.expires_at))
        while len(self._known) > 1 + MOST_SPARE:
            self._known.pop()

    def deleted(self, token_id: int) -> bool:
        """A token was deleted; whether it is the present one, which stays until it is refused."""
        if self.present.token_id == token_id:
            self.present.deleted = True
            return True
        present, *spare = self._known
        self._known = deque([present, *(each for each in spare if each.token_id != token_id)])
        return False

    def refused(self) -> None:
        """The present one was not let in: the next in turn, if any, is the present one now.

        The refused one keeps its turn, unless it is known to be deleted: the Plugboard may have
        had another reason.
        """
        self.present.refused = True
        if len(self._known) == 1:
            return
        refused = self._known.popleft()
        if not refused.deleted:
            self._known.append(refused)

    @property
    def is_untried(self) -> bool:
        """Whether the present one has not been refused since the last join."""
        return not self.present.refused


def causes_of_refusal(credential: Credential, now: datetime) -> str:
    """Why the Plugboard may have answered 403, which it gives no reason for.

    A token that has been joined with was right, so only its end or other actions can be the cause.
    """
    others = "consumers that offer other actions are joined"
    if credential.deleted:
        return "the token was deleted"
    if credential.token_id is None:
        return f"the token is wrong, deleted or expired, or {others}"
    if credential.expires_at is not None and credential.expires_at <= now:
        return "the token has expired"
    return f"the token was deleted, or {others}"
