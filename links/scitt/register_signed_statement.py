"""vcon-server's module of this name, for storages and links that import it."""

from lib.plain_calls import plain_too
from lib.scitt.cose import CoseError, parse
from lib.scitt.service import ServiceOptions, register

__all__ = ["register_statement"]


@plain_too
async def register_statement(scrapi_url: str, signed_statement: bytes) -> dict[str, str | bytes]:
    """Register a statement: `entry_id`, and the `receipt` as received, which is not verified.

    Called from synchronous code it returns the result, from a coroutine a coroutine.

    Raises:
        VendorError: if the service cannot be reached or refuses the statement.
    """
    try:
        payload = parse(signed_statement, "the statement").payload or b""
    except CoseError:
        payload = b""  # the service says what is wrong with it
    options = ServiceOptions(scrapi_url=scrapi_url)
    found = await register(options, signed_statement, payload)
    return {"entry_id": found.entry_id, "receipt": found.receipt}
