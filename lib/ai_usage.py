"""Telling a service of the operator's own what an AI vendor will charge for."""

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
    """POST one usage record, or do nothing where no URL is configured.

    Raises:
        httpx.HTTPError: when it is not taken.
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
    """The same for a plugin on the event loop: `units` are those of input, then of output.

    A report that is not taken is logged and no more: the call that it is about was paid for.
    """
    if not options.send_ai_usage_data_to_url:
        return
    used, given = (*units, 0)[:2]
    token = options.ai_usage_api_token.get_secret_value()
    record = (vcon_uuid, used, given, unit, "VCON_PROCESSING")
    receiver = (options.send_ai_usage_data_to_url, token, model, what)
    try:
        await asyncio.to_thread(send_ai_usage_data_for_tracking, *record, *receiver)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("usage was not reported", extra={"error": type(error).__name__})
