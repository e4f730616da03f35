"""vcon-server's module `config`: the configuration file, as plugins read it there.

`get_config` gives the whole document in force, with `${NAME}` filled: options with their passwords,
and the ingress keys, as vcon-server gives them. A plugin runs in the process that holds them, so
masks would protect nothing, and would break plugins that look their own entry up. What a plugin
writes into the document is not seen by other callers.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lib.vcon_server import settings

type Read = Callable[[Path], Any]
"""Gives the configuration in force as a document; it is that of this path if none is in force."""

_METHODS = ("fork", "spawn", "forkserver")


def _as_written(path: Path) -> Any:
    return yaml.safe_load(path.read_bytes())


_read: list[Read] = [_as_written]


def configure(read: Read) -> None:
    """Take the document from this function from now on."""
    _read[:] = [read]


def get_config() -> dict[str, Any]:
    """The configuration in force, also while its file is written anew; {} for an empty file.

    Raises:
        FileNotFoundError: none is in force, as in a test, and there is no file.
        yaml.YAMLError: none is in force, and the file is no YAML.
    """
    found = _read[0](Path(settings.CONSERVER_CONFIG_FILE))
    return copy.deepcopy(found) if isinstance(found, dict) else {}


def get_worker_count() -> int:
    """The worker processes, at least 1."""
    return max(1, int(settings.CONSERVER_WORKERS))


def get_vcon_concurrency() -> int:
    """The most vCons that a worker runs at once."""
    return max(1, int(settings.CONSERVER_VCON_CONCURRENCY))


def is_parallel_storage_enabled() -> bool:
    """True: the storages of a chain are always written side by side."""
    return True


def get_start_method() -> str | None:
    """CONSERVER_START_METHOD, None without it; workers of this service are always started afresh.

    Raises:
        ValueError: it is none of Python's start methods.
    """
    method: str | None = settings.CONSERVER_START_METHOD
    if method is not None and method not in _METHODS:
        msg = f"CONSERVER_START_METHOD is {method!r}; it must be one of {', '.join(_METHODS)}"
        raise ValueError(msg)
    return method


class Configuration:
    """The sections of the configuration, each empty where the file has none."""

    @classmethod
    def get_config(cls) -> dict[str, Any]:
        """The whole document."""
        return get_config()

    @classmethod
    def get_storages(cls) -> dict[str, Any]:
        """The section `storages`."""
        return _section("storages")

    @classmethod
    def get_followers(cls) -> dict[str, Any]:
        """The section `followers`, which this service does not follow."""
        return _section("followers")

    @classmethod
    def get_imports(cls) -> dict[str, Any]:
        """The section `imports`."""
        return _section("imports")

    @classmethod
    def get_ingress_auth(cls) -> dict[str, Any]:
        """The ingress keys by list."""
        return _section("ingress_auth")


def _section(name: str) -> dict[str, Any]:
    found = get_config().get(name)
    return dict(found) if isinstance(found, Mapping) else {}
