"""The author of an administrative action, for the audit."""

from core import request_context
from core.interfaces import Client
from schemas.ingress_key import Author


def author_of(client: Client) -> Author:
    """The service and the ref of the present request."""
    ref = request_context.fields().get("ref")
    actor = f"service:{client.service.id}" if client.service else "service"
    return Author(actor=actor, ref=None if ref is None else str(ref))
