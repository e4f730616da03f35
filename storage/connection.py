"""Stores vCons with tasks or flows of a connection.

`save`, `get` and `delete` are each a task with `params` or a flow with `inputs`. Reads the vCon for
`save`, writes nothing to it. Raises `LookupError` for a vCon that is not in Redis and
`RuntimeError` for a failed task or flow, or for a `get` whose value is not a vCon.
"""

from collections.abc import Mapping
from typing import Any, Self

import orjson
from pydantic import Field, model_validator

from lib.connections import filled, filled_params, require_fixed_statements, run_flow, run_task
from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True
# no `effect`: what the calls change outside depends on the configuration


class Call(PluginOptions):
    """A task with its parameters, or a flow with its inputs."""

    task: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    flow: str | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    value: Any = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.task is None) == (self.flow is None):
            raise ValueError("set either task or flow")
        require_fixed_statements(self.params)
        return self


class Options(PluginOptions):
    """Options of the storage."""

    connection: str | None = Field(
        None, description="a name of the section `connections`; required for tasks"
    )
    save: Call = Field(
        description="`task` and `params`, or `flow` and `inputs`. Texts may hold `${vcon.uuid}` "
        "and any other part of the vCon, and `${vcon.json}`, the vCon as JSON text"
    )
    get: Call | None = Field(
        None,
        description="like `save`, with `${vcon.uuid}` only; `value` selects the vCon in the "
        "outputs, such as `${result.rows[0].vcon_json}`: an object, JSON text, or null",
    )
    delete: Call | None = Field(None, description="like `get`, without `value`")

    @model_validator(mode="after")
    def _a_connection_for_tasks(self) -> Self:
        calls = (self.save, self.get, self.delete)
        if self.connection is None and any(call and call.task for call in calls):
            raise ValueError("connection: required for tasks")
        return self


type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Store the vCon's current content in Redis with `save`."""
    options = Options.of(opts)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    await _outputs(options, options.save, {**document, "json": orjson.dumps(document).decode()})


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as last saved; None if there is none, or without the option `get`."""
    options = Options.of(opts)
    if options.get is None:
        return None
    outputs = await _outputs(options, options.get, {"uuid": vcon_uuid})
    wanted = "${result.value:-}" if options.get.value is None else options.get.value
    try:
        found = filled(wanted, result=outputs)
    except LookupError:  # no row or no such key: the vCon is not stored
        return None
    document = orjson.loads(found) if isinstance(found, str) and found else found
    if document and not isinstance(document, dict):
        raise RuntimeError(f"get gave {type(document).__name__} for {vcon_uuid}, not a vCon")
    return document or None


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False without the option `delete`."""
    options = Options.of(opts)
    if options.delete is None:
        return False
    await _outputs(options, options.delete, {"uuid": vcon_uuid})
    return True


async def _outputs(options: Options, call: Call, vcon: Mapping[str, Any]) -> dict[str, Any]:
    if call.flow is not None:
        return await run_flow(call.flow, **filled(call.inputs, vcon=vcon))
    assert options.connection is not None
    assert call.task is not None
    return await run_task(options.connection, call.task, **filled_params(call.params, vcon=vcon))
