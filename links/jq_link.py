"""Lets those vCons pass that a jq filter matches, or those that it does not match.

Reads the vCon, writes nothing. The filter matches when its first output is true, or is a text,
number, list or object that is not empty or zero. Ended is ended: other vCons are in no storage and
in no egress list, and their runs are `halted`. A vCon that is not there ends the run, too. Raises
`ValueError` when the filter fails on a vCon, which vcon-server takes for no match; one that is no
filter at all is told at the start. A filter has `JQ_SECONDS` for a vCon, and `JQ_MEMORY` in a
process of its own; one that needs more raises `RuntimeError`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jq
from pydantic import Field, field_validator

from lib.jq.process import first_output_counts
from lib.metrics import increment_counter
from lib.options import GuestOptions
from lib.vcon_redis import VconRedis

only_through_lib = True


class Options(GuestOptions):
    """Which filter."""

    filter: str = Field(".", description="a program in the language of jq")
    forward_matches: bool = Field(
        True, description="whether the vCons that match pass, or else those that do not"
    )

    @field_validator("filter")
    @classmethod
    def _is_a_program(cls, text: str) -> str:
        _program(text)
        return text


def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """The uuid if the vCon passes, else None."""
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
        ValueError: when it fails on it.
        JqEndedError: when it takes longer, or more memory, than it may.
    """
    try:
        return first_output_counts(text, document)
    except ValueError as error:
        increment_counter("conserver.link.jq.filter_errors")
        # What jq says shows parts of the vCon, between parentheses.
        reason = _without_parentheses(str(error))
        raise ValueError(f"the filter fails on this vCon: {reason[:100]}") from None


def _without_parentheses(text: str) -> str:
    """Without what stands from the first one that opens to the last one that closes."""
    before, _, inside = text.partition("(")
    _, closing, after = inside.rpartition(")")
    return f"{before.removesuffix(' ')}{after}" if closing else text


@cache
def _program(text: str) -> Any:
    try:
        return jq.compile(text)
    except ValueError as error:
        raise ValueError(f"no program of jq: {str(error).partition(chr(10))[0]}") from None
