"""Ends the chain for vCons that a jq filter does not match, or for those that it matches.

Reads the vCon, writes nothing. The filter matches if its first output is true, or a text, number,
list or object that is not empty or zero. The other vCons go to no storage and no egress list, and
their runs are `halted`. If the vCon is not in Redis, the chain ends, too. Raises `ValueError` if
the filter fails on a vCon (vcon-server treats that as no match); an invalid filter is reported at
the start. The filter runs in a separate process, limited to `JQ_SECONDS` per vCon and `JQ_MEMORY`;
exceeding a limit raises `RuntimeError`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jq
from pydantic import Field, field_validator

from lib.jq.process import first_output_counts
from lib.metrics import increment_counter
from lib.options import PluginOptions
from lib.vcon_redis import VconRedis

only_through_lib = True
effect = "pure"
pure = True


class Options(PluginOptions):
    """Options of the link."""

    filter: str = Field(".", description="a jq program")
    forward_matches: bool = Field(
        True, description="true: continue with vCons that match; false: with the others"
    )

    @field_validator("filter")
    @classmethod
    def _is_a_program(cls, text: str) -> str:
        _program(text)
        return text


def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Returns the uuid if the chain continues, else None."""
    options = Options.of(opts)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if matches(options.filter, document) == options.forward_matches:
        return vcon_uuid
    increment_counter("conserver.link.jq.vcon_filtered_out")
    return None


def matches(text: str, document: Mapping[str, Any]) -> bool:
    """Whether a filter matches a vCon.

    Raises:
        ValueError: if the filter fails on the vCon.
        JqEndedError: if it exceeds its limit of time or memory.
    """
    try:
        return first_output_counts(text, document)
    except ValueError as error:
        increment_counter("conserver.link.jq.filter_errors")
        # jq's message quotes parts of the vCon in parentheses.
        message = _without_parentheses(str(error))
        raise ValueError(f"the filter fails on this vCon: {message[:100]}") from None


def _without_parentheses(text: str) -> str:
    """Remove the text from the first opening to the last closing parenthesis."""
    before, _, inside = text.partition("(")
    _, closing, after = inside.rpartition(")")
    return f"{before.removesuffix(' ')}{after}" if closing else text


@cache
def _program(text: str) -> Any:
    try:
        return jq.compile(text)
    except ValueError as error:
        raise ValueError(f"not a jq program: {str(error).partition(chr(10))[0]}") from None
