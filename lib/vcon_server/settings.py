"""vcon-server's module `settings`: its constants, for plugins that import them.

A name is looked up when it is used: a value of this service where it has the same setting, else the
environment variable of that name, else vcon-server's default. A plugin gets no more than the
environment of its process has: the service's own secrets, such as the API token, are None in a
worker, unless config.yml names their variables.
"""

import logging
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from core.environment import inherited_environment

AUTO_CONCURRENCY = 64
"""`CONSERVER_VCON_CONCURRENCY` where that is `auto`: the most vCons that a worker runs at once."""

_host: list[object] = []


def configure(settings: object) -> None:
    """Use the values of these settings of the service."""
    _host[:] = [settings]


def _switch(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on")


def _concurrency(text: str) -> int:
    return AUTO_CONCURRENCY if text.strip().lower() == "auto" else max(1, int(text))


_NAMES: dict[str, tuple[Callable[[str], Any], Any]] = {
    "REDIS_URL": (str, "redis://localhost"),
    "TICK_INTERVAL": (int, 5000),
    "HOSTNAME": (str, "http://localhost:8000"),
    "ENV": (str, "dev"),
    "LOG_LEVEL": (str, logging.getLevelName(logging.DEBUG)),
    "LOGGING_CONFIG_FILE": (str, None),
    "CONSERVER_API_TOKEN": (str, None),
    "CONSERVER_API_TOKEN_FILE": (str, None),
    "CONSERVER_HEADER_NAME": (str, "x-conserver-api-token"),
    "DEEPGRAM_KEY": (str, None),
    "OPENAI_API_KEY": (str, None),
    "VCON_STORAGE": (str, ""),
    "INDEX_NAME": (str, "vcon"),
    "WEVIATE_HOST": (str, "localhost:8000"),
    "WEVIATE_API_KEY": (str, None),
    "VCON_SORTED_FORCE_RESET": (str, "true"),
    "VCON_SORTED_SET_NAME": (str, "vcons"),
    "VCON_INDEX_EXPIRY": (int, 86_400),
    "VCON_REDIS_EXPIRY": (int, 3600),
    "VCON_STORAGE_FALLBACK_ENABLED": (_switch, True),
    "VCON_CONTEXT_EXPIRY": (int, 86_400),
    "VCON_DLQ_EXPIRY": (int, 604_800),
    "CONSERVER_CONFIG_FILE": (str, "./example_config.yml"),
    "API_ROOT_PATH": (str, "/api"),
    "CONSERVER_WORKERS": (int, 1),
    "CONSERVER_PARALLEL_STORAGE": (_switch, True),
    "CONSERVER_VCON_CONCURRENCY": (_concurrency, AUTO_CONCURRENCY),
    "CONSERVER_START_METHOD": (str.lower, None),
    "EGRESS_FORMAT_VERSION": (str, None),
}
"""How the text of a variable is read, and the default. A variable that is empty counts as unset."""

_OF_THE_HOST = (
    "VCON_SORTED_SET_NAME",
    "VCON_REDIS_EXPIRY",
    "VCON_DLQ_EXPIRY",
    "CONSERVER_CONFIG_FILE",
    "CONSERVER_WORKERS",
    "CONSERVER_VCON_CONCURRENCY",
    "CONSERVER_HEADER_NAME",
    "LOG_LEVEL",
    "REDIS_URL",
)
"""Constants that are settings of this service, too."""


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        msg = f"module 'settings' has no attribute {name!r}"
        raise AttributeError(msg)
    read, default = _NAMES[name]
    found = _of_the_host(name) or inherited_environment().get(name)
    if not found:
        return default
    try:
        return read(found)
    except ValueError as error:
        msg = f"{name} cannot be read: {error}"
        raise ValueError(msg) from None


def __dir__() -> list[str]:
    return sorted(_NAMES)


def _of_the_host(name: str) -> str | None:
    value = getattr(_host[0], name.lower(), None) if _host and name in _OF_THE_HOST else None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return None if value is None else str(value)
