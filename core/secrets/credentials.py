"""The service's Plugboard tokens: the current one, and newer ones to try when it is refused.

Values are kept in memory only, as `SecretStr`.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from schemas.token import Token

MAX_SPARE = 4
"""New tokens that are kept besides the current one."""


@dataclass(slots=True)
class Credential:
    """One token's value, and its state as the Plugboard has sent it."""

    value: SecretStr
    token_id: int | None = None
    expires_at: datetime | None = None
    deleted: bool = False
    refused: bool = False
    """True if the Plugboard has answered it 403 since the last join."""

    def is_known_useless(self, now: datetime) -> bool:
        """True if the token is known to be deleted or expired."""
        return self.deleted or (self.expires_at is not None and self.expires_at <= now)


class Credentials:
    """Selects the token to connect with."""

    def __init__(self, value: SecretStr) -> None:
        """`value` is the configured token; its id and expiry are unknown before the first join."""
        self._known = deque([Credential(value)])

    @property
    def current(self) -> Credential:
        """The token of this or the next connection."""
        return self._known[0]

    def for_connecting(self, now: datetime) -> Credential:
        """Select the token to connect with, and make it the current one.

        A current token that is known to be deleted or expired is replaced if there is another. A
        deleted one is discarded; an expired one moves to the end, because this clock may be wrong.
        """
        useful = [each for each in self._known if not each.is_known_useless(now)]
        if self.current.is_known_useless(now) and useful:
            expired = [each for each in self._known if each not in useful and not each.deleted]
            self._known = deque([*useful, *expired])
        return self.current

    def joined(self, token: Token) -> None:
        """The Plugboard accepted the current token, and sent its id and expiry."""
        self.current.token_id = token.id
        self.current.expires_at = token.expires_at
        for each in self._known:
            each.refused = False

    def created(self, token: Token) -> None:
        """Keep a new token of this service as the next one to try."""
        known = {credential.token_id for credential in self._known}
        if token.value is None or token.id in known:
            return
        self._known.insert(1, Credential(token.value, token.id, token.expires_at))
        while len(self._known) > 1 + MAX_SPARE:
            self._known.pop()

    def deleted(self, token_id: int) -> bool:
        """A token was deleted; True if it is the current one, which stays until it is refused."""
        if self.current.token_id == token_id:
            self.current.deleted = True
            return True
        current, *spare = self._known
        self._known = deque([current, *(each for each in spare if each.token_id != token_id)])
        return False

    def refused(self) -> None:
        """The Plugboard answered the current token 403: make the next one current, if any.

        The refused one moves to the end unless it is known to be deleted, because the 403 may have
        another reason.
        """
        self.current.refused = True
        if len(self._known) == 1:
            return
        refused = self._known.popleft()
        if not refused.deleted:
            self._known.append(refused)

    @property
    def is_untried(self) -> bool:
        """True if the current token has not been refused since the last join."""
        return not self.current.refused


def causes_of_refusal(credential: Credential, now: datetime) -> str:
    """The possible causes of a 403, for which the Plugboard gives no reason.

    A token that was accepted before is correct, so only its end or other actions can be the cause.
    """
    others = "consumers that offer other actions are joined"
    if credential.deleted:
        return "the token was deleted"
    if credential.token_id is None:
        return f"the token is wrong, deleted or expired, or {others}"
    if credential.expires_at is not None and credential.expires_at <= now:
        return "the token has expired"
    return f"the token was deleted, or {others}"
