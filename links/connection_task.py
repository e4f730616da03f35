"""Runs one task of a connection, such as a query, on what a vCon says.

Reads the vCon; writes what the task gave into an analysis, an attachment or tags, in place of what
it wrote there before, or nowhere without `store_as`. A vCon that is not there ends the run. Raises
`RuntimeError` for a task that fails and `LookupError` for a vCon without what `params` refer to,
unless `on_error` is `continue`.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from lib.connections import filled_params, require_fixed_statements, run_task
from lib.plain_calls import plain_too
from lib.vcon_results import ResultOptions, ask_and_keep

only_through_lib = True


class Options(ResultOptions):
    """Which task, with what, and where its outputs go."""

    connection: str = Field(description="a name of the section `connections`")
    task: str = Field(description="a task of its plugin, such as `pg_query`")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="the task's parameters; texts may hold `${vcon.subject}`, "
        "`${vcon.parties[0].tel}`, `${vcon.subject:-none}` and `${link.name}`. A statement may "
        "not: what a vCon says goes into its parameters",
    )

    @model_validator(mode="after")
    def _no_vcon_in_statements(self) -> Self:
        require_fixed_statements(self.params)
        return self


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """The uuid, or None when there is no such vCon."""
    options = Options.of(opts)

    async def ask(roots: Mapping[str, Any]) -> dict[str, Any]:
        return await run_task(
            options.connection, options.task, **filled_params(options.params, **roots)
        )

    return await ask_and_keep(vcon_uuid, link_name, options, ask)
