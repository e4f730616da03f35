"""Runs a flow with values from a vCon.

Reads the vCon; writes the flow's outputs into an analysis, an attachment or tags, replacing those
of an earlier run, or nowhere without `store_as`. If the vCon is not in Redis, the chain ends.
Raises `RuntimeError` for a failed flow and `LookupError` for a vCon without a value that `inputs`
refer to, unless `on_error` is `continue`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.connections import filled, run_flow
from lib.plain_calls import plain_too
from lib.vcon_results import ResultOptions, query_and_store

only_through_lib = True
# no `effect`: what the flow changes outside depends on its tasks


class Options(ResultOptions):
    """Options of the link."""

    flow: str = Field(description="a file in the folder of flows, with or without its ending")
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="the flow's inputs; texts may hold `${vcon.subject}`, "
        "`${vcon.parties[0].tel}`, `${vcon.subject:-none}` and `${link.name}`",
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def query(roots: Mapping[str, Any]) -> dict[str, Any]:
        return await run_flow(options.flow, **filled(options.inputs, **roots))

    return await query_and_store(vcon_uuid, link_name, options, query)
