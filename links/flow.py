"""Runs a flow on what a vCon says.

Reads the vCon; writes the flow's outputs into an analysis, an attachment or tags, in place of what
it wrote there before, or nowhere without `store_as`. A vCon that is not there ends the run. Raises
`RuntimeError` for a flow that fails and `LookupError` for a vCon without what `inputs` refer to,
unless `on_error` is `continue`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.connections import filled, run_flow
from lib.plain_calls import plain_too
from lib.vcon_results import ResultOptions, ask_and_keep

only_through_lib = True


class Options(ResultOptions):
    """Which flow, with what, and where its outputs go."""

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
    """The uuid, or None when there is no such vCon."""
    options = Options.of(opts)

    async def ask(roots: Mapping[str, Any]) -> dict[str, Any]:
        return await run_flow(options.flow, **filled(options.inputs, **roots))

    return await ask_and_keep(vcon_uuid, link_name, options, ask)
