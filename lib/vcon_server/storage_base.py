"""vcon-server's `storage.base`: a configured storage by its name, for links and hooks.

It calls the storage's module in the caller's thread, with the options of the configuration over the
module's defaults. Async storages of this service run on the service's loop until they have ended;
on that loop itself, the result is to be awaited. Failures of `save` are raised and make no dead
letter: a chain's `storages` do that.
"""

import importlib
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from lib.plain_calls import plain_too
from lib.vcon_server.config import get_config
from pipeline.storages.storage_fallback import LoadedStorage, installed


class Storage:
    """One entry of `storages`."""

    def __init__(self, storage_name: str) -> None:
        """Import its module.

        Raises:
            KeyError: the configuration has no such storage.
            ImportError: its module cannot be imported.
        """
        entry = get_config()["storages"][storage_name]
        self.storage_name = storage_name
        self.module_name: str = entry["module"]
        self.module: ModuleType = importlib.import_module(self.module_name)
        loaded = self._loaded()
        self._plugin: Any = loaded or self.module
        self.options: Any = (
            loaded.fresh_options() if loaded else self._merged(entry.get("options") or {})
        )

    def save(self, vcon_id: str) -> Any:
        """Write the vCon as it is in Redis."""
        return self._call("save", vcon_id)

    def get(self, vcon_id: str) -> Any:
        """The vCon as it is stored; None if it is not there, or the module cannot read."""
        return self._call("get", vcon_id)

    def delete(self, vcon_id: str) -> Any:
        """Delete the vCon; False if it is not there, or the module cannot delete."""
        deleted = self._call("delete", vcon_id)
        return False if deleted is None else deleted

    def _loaded(self) -> LoadedStorage | None:
        """As the service has loaded it, with what a connection lends; None where there is none."""
        service = installed()
        if service is None or service.is_here():
            return None
        return service.storage_from_thread(self.storage_name)

    def _merged(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if "connection" in given:
            msg = f"storage {self.storage_name}: `connection` is known in threads of a worker only"
            raise ValueError(msg)
        return {**(getattr(self.module, "default_options", None) or {}), **given}

    def _call(self, name: str, vcon_id: str) -> Any:
        function = getattr(self._plugin, name, None)
        if function is None:
            return None
        call = plain_too(function) if inspect.iscoroutinefunction(function) else function
        return call(vcon_id, self.options)
