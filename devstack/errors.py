"""What the embedded stack says when it cannot do its work."""


class StackError(Exception):
    """What failed and what to do about it, in one line."""


class PortTakenError(StackError):
    """Another program took the server's port first; another port may do."""
