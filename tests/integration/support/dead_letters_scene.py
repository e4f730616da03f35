"""A chain whose plugins fail when told to, and the dead letters that come of it."""

from __future__ import annotations

from typing import Any

from pipeline.live_config import Configuration
from tests.integration.support.operations_scene import Operations
from tests.integration.support.pipeline_fixtures import configured, link, storage


class Plugins:
    """A chain of two links and two storages; what is in `failing` fails."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.becomes: dict[str, str] = {}

    def first(self, vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
        """The first link, which may put another vCon in the place of the one that came in."""
        return self._called("first", vcon_uuid, self.becomes.get(vcon_uuid, vcon_uuid))

    def second(self, vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
        """The second link."""
        return self._called("second", vcon_uuid, vcon_uuid)

    def shelf(self, vcon_uuid: str, options: dict[str, Any]) -> None:
        """The first storage."""
        self._called("shelf", vcon_uuid, None)

    def cellar(self, vcon_uuid: str, options: dict[str, Any]) -> None:
        """The second storage."""
        self._called("cellar", vcon_uuid, None)

    def _called(self, who: str, vcon_uuid: str, answer: Any) -> Any:
        self.calls.append((who, vcon_uuid))
        if who in self.failing:
            raise OSError(f"{who} is down")
        return answer

    def called(self) -> list[str]:
        """Who has been called since this was last asked; the storages in the order of names."""
        names = [name for name, _ in self.calls]
        self.calls.clear()
        links = [name for name in names if name in ("first", "second")]
        return links + sorted(name for name in names if name not in links)

    def configuration(self, **changes: Any) -> Configuration:
        """The chain `main`, which does not try again by itself."""
        return configured(
            links=[link(self.first), link(self.second)],
            storages=[storage(self.shelf, "shelf"), storage(self.cellar, "cellar")],
            **{"max_attempts": 1} | changes,
        )


async def failed(ops: Operations, plugins: Plugins, *failing: str, count: int = 1) -> list[str]:
    """Lets vCons come in and fail there; the plugins work again afterwards."""
    plugins.failing = set(failing)
    uuids = []
    for _ in range(count):
        uuids.append(await ops.ingest("in"))
        await ops.work()
    plugins.failing.clear()
    plugins.called()
    return uuids


async def replay(
    ops: Operations,
    *,
    list_name: str | None = "in",
    storage_name: str | None = None,
    **changes: Any,
) -> int:
    """Replay, of everything unless said otherwise."""
    whole = {"vcon_uuids": None, "cause": None, "limit": 1000, "from_start": False}
    if storage_name:
        list_name = None
    return await ops.operations.replay(list_name, storage_name, **whole | changes)
