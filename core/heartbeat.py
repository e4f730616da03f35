"""When the next heartbeat is due, and until when its reply must be here."""


class Heartbeat:
    """The pulse of one open socket: at most one heartbeat is unanswered at any time.

    Only a reply counts as a sign of life. Messages that the server pushes of its own accord prove
    nothing about the other direction, so they do not postpone anything.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._awaited: str | None = None
        self.due: float | None = None
        """When to send the next one or, while one is unanswered, when to give up; None: stopped."""

    @property
    def unanswered(self) -> bool:
        """Whether a heartbeat is waiting for its reply."""
        return self._awaited is not None

    def start(self, now: float) -> None:
        """Begin anew: the next heartbeat is due one interval from now."""
        self._awaited = None
        self.due = now + self._interval

    def stop(self) -> None:
        """The socket is gone: nothing is due, and no reply is awaited."""
        self._awaited = None
        self.due = None

    def sent(self, ref: str, now: float) -> None:
        """A heartbeat went out; its reply must come within the timeout."""
        self._awaited = ref
        self.due = now + self._timeout

    def answered(self, ref: str | None, now: float) -> bool:
        """Take a reply; False if it is not the one awaited."""
        if ref is None or ref != self._awaited:
            return False
        self.start(now)
        return True
