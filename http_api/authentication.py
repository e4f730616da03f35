"""API tokens: who may call the routes of `Access.TOKEN`."""

import hmac
from collections.abc import Iterable

REFUSED = "Invalid API Key"
"""The text of a refusal, as vcon-server has it."""


class Tokens:
    """The API tokens of this process."""

    def __init__(self, tokens: Iterable[str]) -> None:
        """Without any token every request is admitted; the start allows that with API_OPEN only."""
        self._tokens = [token.encode() for token in tokens]

    @property
    def are_none(self) -> bool:
        """True if every request is admitted."""
        return not self._tokens

    def admit(self, given: str | None) -> bool:
        """Whether this token opens the API; the time taken does not depend on where it differs."""
        if not self._tokens:
            return True
        text = (given or "").encode("latin-1", "replace")
        matches = [hmac.compare_digest(text, token) for token in self._tokens]
        return any(matches)
