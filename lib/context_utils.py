"""Trace contexts for uuids in Redis lists, with vcon-server's keys and format.

With tracing on, a run that takes a uuid from a list links its span to the producer's span.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from core.observability.tracing import context

DAY = 86_400
"""The time to live of a context, in seconds."""

log = logging.getLogger(__name__)

type Context = Mapping[str, Any]


def get_context_key(ingress_list: str, vcon_uuid: str) -> str:
    """The Redis key of the list with the contexts of this uuid in this ingress list."""
    return f"context:{ingress_list}:{vcon_uuid}"


def extract_otel_trace_context() -> dict[str, Any] | None:
    """`{trace_id, span_id, trace_flags, is_sampled}` of the current span; None without tracing."""
    text = context()
    return json.loads(text) if text else None


def store_context_sync(redis: Any, ingress_list: str, vcon_uuid: str, given: Context) -> None:
    """Store a context for the consumer that takes the uuid; a failure is only logged."""
    key = get_context_key(ingress_list, vcon_uuid)
    try:
        redis.rpush(key, json.dumps(given))
        redis.expire(key, DAY)
    except Exception:
        log.exception("trace context not stored")


async def store_context_async(
    redis: Any, ingress_list: str, vcon_uuid: str, given: Context
) -> None:
    """`store_context_sync` with an asyncio client."""
    key = get_context_key(ingress_list, vcon_uuid)
    try:
        await redis.rpush(key, json.dumps(given))
        await redis.expire(key, DAY)
    except Exception:
        log.exception("trace context not stored")


def retrieve_context(redis: Any, ingress_list: str, vcon_uuid: str) -> dict[str, Any] | None:
    """Pop the oldest context of this uuid in this list; None without one.

    Invalid JSON gives None; so does a failure of Redis, which is logged.
    """
    try:
        text = redis.lpop(get_context_key(ingress_list, vcon_uuid))
        given = json.loads(text) if text else None
    except ValueError:
        return None
    except Exception:
        log.exception("trace context not read")
        return None
    return given if isinstance(given, dict) else None
