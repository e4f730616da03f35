"""Runs one task of a connection, such as a query, with values from a vCon.

Reads the vCon; writes the task's outputs into an analysis, an attachment or tags, replacing those
of an earlier run, or nowhere without `store_as`. If the vCon is not in Redis, the chain ends.
Raises `RuntimeError` for a failed task and `LookupError` for a vCon without a value that `params`
refer to, unless `on_error` is `continue`.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from lib.connections import filled_params, require_fixed_statements, run_task
from lib.plain_calls import plain_too
from lib.vcon_results import ResultOptions, query_and_store

only_through_lib = True
# no `effect`: what the task changes outside depends on the configuration


class Options(ResultOptions):
    """Options of the link."""

    connection: str = Field(description="a name of the section `connections`")
    task: str = Field(description="a task of its plugin, such as `pg_query`")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="the task's parameters; texts may hold `${vcon.subject}`, "
        "`${vcon.parties[0].tel}`, `${vcon.subject:-none}` and `${link.name}`. A statement may "
        "not: values from a vCon belong into its parameters",
    )

    @model_validator(mode="after")
    def _no_vcon_in_statements(self) -> Self:
        require_fixed_statements(self.params)
        return self


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def query(roots: Mapping[str, Any]) -> dict[str, Any]:
        return await run_task(
            options.connection, options.task, **filled_params(options.params, **roots)
        )

    return await query_and_store(vcon_uuid, link_name, options, query)
