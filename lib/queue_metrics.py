"""vcon-server's gauges of queue lengths and of Redis' memory, for plugins that register them.

The service has these numbers as `patchcord_ingress_depth` and `patchcord_dead_letters`, too.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lib.metrics import register_observable_gauge
from lib.vcon_server.config import get_config
from lib.vcon_server.dlq_utils import get_ingress_list_dlq_name

LENGTH = "conserver.ingress_list.length"
MEMORY = "conserver.redis.memory_used_bytes"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """One value under its labels, as OpenTelemetry's `Observation` has them."""

    value: float
    attributes: dict[str, Any] = field(default_factory=dict)


def register_ingress_list_length_gauge(client: Any) -> None:
    """Observe the length of each configured ingress list and of its dead letters.

    `client` has `llen`; a list whose length cannot be read is left out.
    """
    register_observable_gauge(LENGTH, lambda *_: list(_lengths(client)), "Lengths of ingress lists")


def register_redis_memory_gauge(client: Any) -> None:
    """Observe the memory that Redis uses; `client` has `info`."""
    register_observable_gauge(MEMORY, lambda *_: list(_memory(client)), "Memory that Redis uses")


def _lengths(client: Any) -> Iterator[Observed]:
    try:
        chains = (get_config().get("chains") or {}).values()
        names = {name for chain in chains for name in (chain or {}).get("ingress_lists") or ()}
    except Exception as error:  # noqa: BLE001 -- a callback of metrics must not fail the others
        log.debug("ingress lists not read", extra={"error": str(error)})
        return
    for name in sorted(filter(None, names)):
        for kind, key in (("ingress", name), ("dlq", get_ingress_list_dlq_name(name))):
            try:
                yield Observed(client.llen(key), {"ingress_list": name, "kind": kind})
            except Exception as error:  # noqa: BLE001 -- as above
                log.debug("length not read", extra={"list": key, "error": str(error)})


def _memory(client: Any) -> Iterator[Observed]:
    try:
        yield Observed(int(client.info(section="memory")["used_memory"]))
    except Exception as error:  # noqa: BLE001 -- as above
        log.debug("memory of Redis not read", extra={"error": str(error)})
