"""Errors of the embedded stack."""


class StackError(Exception):
    """The message has the failure and what to do, in one line."""


class PortTakenError(StackError):
    """Another program uses the server's port; another port may work."""
