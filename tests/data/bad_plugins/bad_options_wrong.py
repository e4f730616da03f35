"""Takes any text as a number, and reads zero."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator


def number(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


class Options(BaseModel):
    limit: Annotated[int, BeforeValidator(number)] = 5


def run(vcon_uuid, link_name, opts):
    return vcon_uuid
