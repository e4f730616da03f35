"""The user account of the servers: PostgreSQL refuses to run as root."""

import os
import pwd
from dataclasses import dataclass

from devstack.errors import StackError


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """Returns an unprivileged account for servers started by root; None for other users.

    Raises:
        StackError: if this is root and the machine has no other user.
    """
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid and user.pw_gid}
    chosen = users.get("nobody") or next(iter(users.values()), None)
    if chosen is None:
        raise StackError(
            "PostgreSQL does not run as root and this machine has no other user; add one"
            " (useradd patchcord) and run again"
        )
    return Account(chosen.pw_name, chosen.pw_uid, chosen.pw_gid)
