"""Reports of AI vendors' billed usage to a service of the operator."""

import logging
from datetime import UTC, datetime
from typing import Any

from flowlang.connections.tls import web_trust
from lib.openai_options import UsageOptions
from lib.web.client_library import httpx
from lib.web.http_client import shared_client

log = logging.getLogger(__name__)

TIMEOUT = 30.0


def send_ai_usage_data_for_tracking(
    vcon_uuid: str,
    input_units: float,
    output_units: float,
    unit_type: str,
    type: str,  # noqa: A002 -- vcon-server's name for it
    send_ai_usage_data_to_url: str,
    ai_usage_api_token: str,
    model: str,
    sub_type: str | None = None,
) -> None:
    """POST one usage record; does nothing without a URL.

    Raises:
        httpx.HTTPError: if the service cannot be reached or answers with an error.
    """
    if not send_ai_usage_data_to_url:
        return
    units = (input_units, output_units)
    request = _request(vcon_uuid, units, unit_type, type, model, sub_type, ai_usage_api_token)
    answer = httpx.post(send_ai_usage_data_to_url, **request, verify=web_trust())
    answer.raise_for_status()


def _request(
    vcon_uuid: str,
    units: tuple[float, float],
    unit_type: str,
    kind: str,
    model: str,
    sub_type: str | None,
    token: str,
) -> dict[str, Any]:
    record = {
        "created_at": datetime.now(UTC).isoformat(),
        "record_id": vcon_uuid,
        "type": kind,
        "sub_type": sub_type,
        "unit_type": unit_type,
        "input_units": units[0],
        "output_units": units[1],
        "ai_model": model,
    }
    headers = {"Authorization": f"Bearer {token}"}
    return {"json": record, "headers": headers, "timeout": TIMEOUT}


async def report_usage(
    options: UsageOptions, vcon_uuid: str, what: str, model: str, unit: str, *units: float
) -> None:
    """`send_ai_usage_data_for_tracking` on the event loop; `units` are input, then output units.

    A failed report is only logged: the vendor's call succeeded and must not be repeated for it.
    """
    if not options.send_ai_usage_data_to_url:
        return
    both = (*units, 0)[0], (*units, 0)[1]
    token = options.ai_usage_api_token.get_secret_value()
    request = _request(vcon_uuid, both, unit, "VCON_PROCESSING", model, what, token)
    try:
        answer = await shared_client().post(options.send_ai_usage_data_to_url, **request)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("usage report failed", extra={"error": type(error).__name__})
