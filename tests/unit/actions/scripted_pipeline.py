"""A pipeline that answers as it is told, for tests that ask what an action makes of it."""

from functools import partial
from types import SimpleNamespace
from typing import Any


class ScriptedPipeline:
    """Answers every call with the same outcome and remembers what was asked."""

    def __init__(self, outcome: Any = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._outcome = outcome

    def _did(self, *asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    @property
    def internal(self) -> Any:
        return SimpleNamespace(take=partial(self._took, "internal"))

    @property
    def partners(self) -> Any:
        return SimpleNamespace(take=partial(self._took, "partners"))

    async def _took(self, api: str, vcon: Any, lists: Any, api_key: Any) -> Any:
        return self._did(api, vcon, lists, api_key)

    async def run_chain(self, chain: Any, vcon: Any, wait: Any, key: Any, waiting: Any) -> Any:
        return self._did("run_chain", chain, vcon, wait, key, waiting)

    async def cancel_run(self, run_id: Any) -> Any:
        return self._did("cancel_run", run_id)

    async def find_run(self, run_id: Any) -> Any:
        return self._did("find_run", run_id)

    async def save(self, vcon: Any, storages: Any) -> Any:
        return self._did("save", vcon, storages)

    async def find_vcon(self, vcon_uuid: Any, storage: Any) -> Any:
        return self._did("find_vcon", vcon_uuid, storage)

    async def chains(self) -> Any:
        return self._did("chains")
