"""The trace context that travels with a uuid through a list, as vcon-server keeps it.

Where traces are sent, a run that begins with a uuid from the list is linked with who put it there.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from core.observability.tracing import context

DAY = 86_400
"""Seconds that a context is kept."""

log = logging.getLogger(__name__)

type Context = Mapping[str, Any]


def get_context_key(ingress_list: str, vcon_uuid: str) -> str:
    """The Redis list that contexts of this uuid in this list are kept in."""
    return f"context:{ingress_list}:{vcon_uuid}"


def extract_otel_trace_context() -> dict[str, Any] | None:
    """`{trace_id, span_id, trace_flags, is_sampled}` of what runs now; None without traces."""
    text = context()
    return json.loads(text) if text else None


def store_context_sync(redis: Any, ingress_list: str, vcon_uuid: str, given: Context) -> None:
    """Keep a context for whoever takes the uuid from the list; a failure is only logged."""
    key = get_context_key(ingress_list, vcon_uuid)
    try:
        redis.rpush(key, json.dumps(given))
        redis.expire(key, DAY)
    except Exception:
        log.exception("a trace context was not kept")


async def store_context_async(
    redis: Any, ingress_list: str, vcon_uuid: str, given: Context
) -> None:
    """The same with a client for asyncio."""
    key = get_context_key(ingress_list, vcon_uuid)
    try:
        await redis.rpush(key, json.dumps(given))
        await redis.expire(key, DAY)
    except Exception:
        log.exception("a trace context was not kept")


def retrieve_context(redis: Any, ingress_list: str, vcon_uuid: str) -> dict[str, Any] | None:
    """The oldest context kept for this uuid in this list, taken out; None without one.

    What is no context, and a failure, which is logged, are None, too.
    """
    try:
        text = redis.lpop(get_context_key(ingress_list, vcon_uuid))
        given = json.loads(text) if text else None
    except ValueError:
        return None
    except Exception:
        log.exception("a trace context cannot be read")
        return None
    return given if isinstance(given, dict) else None
