"""Reports of AI vendors' billed usage to a service of the operator."""

import asyncio
import logging
from datetime import UTC, datetime

import httpx

from lib.openai_options import UsageOptions

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
    record = {
        "created_at": datetime.now(UTC).isoformat(),
        "record_id": vcon_uuid,
        "type": type,
        "sub_type": sub_type,
        "unit_type": unit_type,
        "input_units": input_units,
        "output_units": output_units,
        "ai_model": model,
    }
    headers = {"Authorization": f"Bearer {ai_usage_api_token}"}
    answer = httpx.post(send_ai_usage_data_to_url, json=record, headers=headers, timeout=TIMEOUT)
    answer.raise_for_status()


async def report_usage(
    options: UsageOptions, vcon_uuid: str, what: str, model: str, unit: str, *units: float
) -> None:
    """`send_ai_usage_data_for_tracking` on the event loop; `units` are input, then output units.

    A failed report is only logged: the vendor's call succeeded and must not be repeated for it.
    """
    if not options.send_ai_usage_data_to_url:
        return
    input_units, output_units = (*units, 0)[:2]
    try:
        await asyncio.to_thread(
            send_ai_usage_data_for_tracking,
            vcon_uuid,
            input_units,
            output_units,
            unit,
            "VCON_PROCESSING",
            options.send_ai_usage_data_to_url,
            options.ai_usage_api_token.get_secret_value(),
            model,
            what,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("usage report failed", extra={"error": type(error).__name__})
