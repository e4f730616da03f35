"""Kept connections over the small plugin, with a clock that is set by hand."""

from pathlib import Path
from typing import Any

from flowlang.connections.connection import Patience
from flowlang.connections.kept import KeptConnections
from flowlang.language.flow import Flow
from flowlang.running import Surroundings, run_flow
from tests.unit.support.flowlang_plugins import parcels

NORTH = {"type": "parcel", "depot": "north"}
SOUTH = {"type": "parcel", "depot": "south"}
WHERE = "steps: [{parcel_where: {id: w, connection: depot}}]\noutputs: [w.depot]"


class Kept:
    """Kept connections with a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.registry = parcels(folder)
        self.connections = KeptConnections(
            registry=self.registry, patience=Patience(acquire=0.05), clock=lambda: self.now
        )

    async def run(self, text: str) -> dict[str, Any]:
        """What comes of a flow with these around it."""
        around = Surroundings(self.connections, registry=self.registry)
        return await run_flow(Flow.parse(f"flow: F\n{text}"), around=around)


async def with_depot(folder: Path) -> Kept:
    """One connection, `depot`."""
    kept = Kept(folder)
    await kept.connections.configure({"depot": NORTH})
    return kept
