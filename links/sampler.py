"""Continues the chain for a sample of the vCons and ends it for the others.

Reads nothing but the vCon's uuid and writes nothing. The other vCons go to no storage and no egress
list, and their runs are `halted`. With `seed`, and with `modulo`, the decision for one vCon is
always the same. Raises nothing.
"""

import random
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lib.options import PluginOptions
from lib.plain_calls import plain_too

only_through_lib = True
effect = "pure"


class Options(PluginOptions):
    """Options of the link."""

    method: Literal["percentage", "rate", "modulo", "time_based"] = Field(
        "percentage",
        description="`percentage`: `value` percent; `rate`: about one in `value`, at random "
        "intervals; `modulo`: one in `value`, by a hash of the uuid; `time_based`: all vCons "
        "processed in a second (since 1970) that is divisible by `value`",
    )
    value: float = Field(50, ge=0, description="see `method`; above 0 except for `percentage`")
    seed: int | str | None = Field(
        None,
        description="the seed of the random decision, with the uuid; unset: each run is random",
    )

    @model_validator(mode="after")
    def _can_be_divided_by(self) -> Self:
        whole = self.method in ("modulo", "time_based")
        if self.method != "percentage" and (self.value <= 0 or (whole and self.value % 1)):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"value: {self.method} needs {kind} above 0")
        return self


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Returns the uuid, or None for a vCon that is not in the sample."""
    return vcon_uuid if is_in(vcon_uuid, Options.of(opts), time.time()) else None


def pure(options: Options) -> bool:
    """Whether the decision for one vCon is always the same."""
    return options.method == "modulo" or (
        options.method != "time_based" and options.seed is not None
    )


def is_in(vcon_uuid: str, options: Options, now: float) -> bool:
    """Whether a vCon is in the sample; `now` is in seconds since 1970."""
    match options.method:
        case "percentage":
            return _chance(vcon_uuid, options).uniform(0, 100) < options.value
        case "rate":
            return _chance(vcon_uuid, options).expovariate(1 / options.value) <= 1
        case "modulo":
            return int(sha256(vcon_uuid.encode()).hexdigest()[:8], 16) % int(options.value) == 0
        case "time_based":
            return int(now) % int(options.value) == 0


def _chance(vcon_uuid: str, options: Options) -> random.Random:
    if options.seed is None:
        return random.Random()  # noqa: S311 -- a sample, not a secret
    return random.Random(f"{options.seed} {vcon_uuid}")  # noqa: S311
