"""As whom the servers run: PostgreSQL refuses to run as root, so root lends it an account."""

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
    """Returns the account that root lends to servers; None for an ordinary user, who needs none.

    Raises:
        StackError: this is root on a machine that knows no other user.
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
