"""Lets a share of all vCons pass and ends the chain for the others.

Reads nothing but the vCon's uuid and writes nothing. Ended is ended: those are in no storage and in
no egress list, and their runs are `halted`. With `seed`, and by `modulo`, the same vCon fares the
same every time. Raises nothing.
"""

import random
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lib.options import GuestOptions
from lib.plain_calls import plain_too

only_through_lib = True


class Options(GuestOptions):
    """Which share."""

    method: Literal["percentage", "rate", "modulo", "time_based"] = Field(
        "percentage",
        description="`percentage`: `value` of a hundred; `rate`: about one in `value`, at random "
        "intervals; `modulo`: one in `value`, told by the uuid; `time_based`: all that come in a "
        "second whose number since 1970 `value` divides",
    )
    value: float = Field(50, ge=0, description="see `method`; more than 0 for all but percentages")
    seed: int | str | None = Field(
        None,
        description="what chance goes by, besides the uuid; without it every run has its own",
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
    """The uuid, or None for a vCon that is not in the sample."""
    return vcon_uuid if is_in(vcon_uuid, Options.of(opts), time.time()) else None


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
