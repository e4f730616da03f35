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

type Fill = Callable[[bytes], Any]
"""Reads the bytes of a configuration file into a document with its variables filled."""

_METHODS = ("fork", "spawn", "forkserver")

_fill: list[Fill] = []
_read: dict[tuple[object, ...], Any] = {}


def configure(fill: Fill) -> None:
    """Read documents by this function from now on."""
    _fill[:] = [fill]
    _read.clear()


def get_config() -> dict[str, Any]:
    """The configuration in force; {} for an empty file.

    Raises:
        FileNotFoundError: there is no file.
        yaml.YAMLError: it is no YAML.
    """
    path = Path(settings.CONSERVER_CONFIG_FILE)
    status = path.stat()
    key = str(path), status.st_mtime_ns, status.st_size, status.st_ino
    if key not in _read:
        content = path.read_bytes()
        found = (_fill[0] if _fill else yaml.safe_load)(content)
        _read.clear()
        _read[key] = found if isinstance(found, dict) else {}
    known: dict[str, Any] = _read.get(key, {})
    return copy.deepcopy(known)


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
