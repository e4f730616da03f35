"""Keys of partners: list, create, rotate, revoke. Secrets are in results only."""

from collections.abc import Sequence

from core.operator_interfaces import Call, Operation
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row
from schemas.ingress_key import NewKey
from schemas.operator.partner_keys import (
    Key,
    Keys,
    KeysQuery,
    KeyToCreate,
    KeyToRevoke,
    KeyToRotate,
    KeyWithSecret,
)

LIST = Operation("keys_list", "Partners' keys", KeysQuery, Keys)
CREATE = Operation("keys_create", "Make a partner's key", KeyToCreate, KeyWithSecret, changes=True)
ROTATE = Operation(
    "keys_rotate", "Replace a partner's key", KeyToRotate, KeyWithSecret, changes=True
)
REVOKE = Operation("keys_revoke", "End a partner's key", KeyToRevoke, Key, changes=True)


class PartnerKeys:
    """The operations on keys; a change takes effect in other processes within seconds."""

    def __init__(self, parts: Parts) -> None:
        self._admin = parts.partner_admin

    async def all(self, query: KeysQuery, _call: Call) -> Keys:
        """Every key, or every key of one list."""
        return Keys(keys=list(await self._admin.keys(query.ingress_list)))

    async def create(self, new: KeyToCreate, call: Call) -> KeyWithSecret:
        """A key for one list.

        Raises:
            UnknownNameError: no enabled chain reads the list.
        """
        made = await self._admin.create_key(NewKey(**new.model_dump()), call.author)
        return KeyWithSecret(key=made.key, secret=made.secret)

    async def rotate(self, old: KeyToRotate, call: Call) -> KeyWithSecret:
        """A key in the place of another.

        Raises:
            UnknownNameError: there is no such key.
            ConflictError: it was revoked, or has expired.
        """
        made = await self._admin.rotate_key(old.key_id, old.grace_hours, call.author)
        return KeyWithSecret(key=made.key, secret=made.secret)

    async def revoke(self, old: KeyToRevoke, call: Call) -> Key:
        """End a key.

        Raises:
            UnknownNameError: there is no such key.
        """
        return Key(key=await self._admin.revoke_key(old.key_id, call.author))


def rows(parts: Parts) -> Sequence[Row]:
    """The operations of this file."""
    keys = PartnerKeys(parts)
    return [
        Row(LIST, keys.all),
        Row(CREATE, keys.create),
        Row(ROTATE, keys.rotate),
        Row(REVOKE, keys.revoke),
    ]
