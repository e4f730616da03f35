"""Telling of a lasting fault once: what is looked at every few seconds must not fill the log."""

MOST = 1000
"""Texts that are remembered; after so many others one is told again."""


class Once:
    """Remembers what has been told."""

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self._told: dict[str, None] = {}

    def first(self, text: str) -> bool:
        """Whether this is told for the first time."""
        if text in self._told:
            return False
        self._told[text] = None
        if len(self._told) > MOST:
            del self._told[next(iter(self._told))]
        return True
