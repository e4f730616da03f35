"""The settings of the operations, the command line and the console; see `core.setting_groups`."""

from pydantic import BaseModel


class OperatorSettings(BaseModel):
    """What operators may ask for, and how much of it."""
