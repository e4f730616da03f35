"""Audit events of administrative requests."""

from typing import Any, Final

from http_api.request import Request
from schemas.ingress_key import Author

AUTHOR: Final = Author(actor="http-api")
"""The holder of an API token; tokens have no names."""


async def audit(request: Request[Any], action: str, target: str, **detail: Any) -> None:
    """Record what a request is about to do; it is not done if this fails."""
    await request.pipeline.partner_admin.audit(action, AUTHOR, target, detail)
