"""A run's memory of its vCon, so that neighbouring links need not each go to Redis.

One run at a time works on a vCon, so nobody else changes it meanwhile but the run's own guests. Of
those, one that says `only_through_lib` touches it through `lib` and in no other way: what such a
guest reads or writes can be kept here, and be written once for several of them. Before any other
guest, and at the end of the run, Redis gets what is unwritten, together with the journal: whatever
the journal says is done stands in the document, and what is lost with a process is done again.
"""


class RunMemory:
    """The text of one vCon document, and whether Redis has it."""

    __slots__ = ("_text", "_uuid", "in_use", "unwritten")

    def __init__(self) -> None:
        """Empty."""
        self.in_use = False
        """Whether the guest that runs just now goes through `lib` only."""
        self.unwritten: bytes = b""
        """The text that Redis shall get; empty when it has everything."""
        self._uuid = ""
        self._text: bytes | str | None = None

    def recall(self, vcon_uuid: str) -> bytes | str | None:
        """The document, if it is remembered and may be used."""
        return self._text if self.in_use and vcon_uuid == self._uuid else None

    def read(self, vcon_uuid: str, text: bytes | str) -> None:
        """This is what Redis has; what it shall get is newer, and is what must be remembered."""
        if self.in_use and not self.unwritten:
            self._uuid, self._text = vcon_uuid, text

    def write(self, vcon_uuid: str, text: bytes) -> None:
        """This is what Redis shall have, by the end of the run at the latest."""
        self._uuid, self._text, self.unwritten = vcon_uuid, text, text

    def forget(self) -> None:
        """Somebody else may change the document now."""
        self._uuid, self._text = "", None
