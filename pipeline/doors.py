"""Which of the two doors for vCons a request comes to."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.external import ExternalDoor
from pipeline.ingress import Ingress
from schemas.ingested import Ingested


class Doors:
    """`own` is for whoever may call the service, `partners` for whoever has a key to a list."""

    def __init__(self, own: Ingress, partners: ExternalDoor, *, key_required: bool) -> None:
        """`key_required`: nobody is let in without a key who is asked for one."""
        self.own = own
        self.partners = partners
        self._key_required = key_required

    async def ingest(
        self, vcon: Mapping[str, Any] | bytes, lists: Sequence[str], api_key: str | None
    ) -> Ingested:
        """Take one vCon in; with a key, or where one is required, as from a partner.

        Raises the errors of `Ingress.take`, or those of `ExternalDoor.take`.
        """
        if api_key is None and not self._key_required:
            return await self.own.take(vcon, lists)
        return await self.partners.take(vcon, lists, api_key)
