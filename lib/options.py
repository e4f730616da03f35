"""A base for the `Options` of a plugin: what it takes, with defaults, and a description of each.

The host checks a configuration against it at load, so that a mistake is told at the start and not
by the first vCon. The built-in plugins' pages are made from it.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


class GuestOptions(BaseModel):
    """Options of a plugin; declare `class Options(GuestOptions)` in its module.

    An option that is null counts as unset, so `headers:` with nothing behind it is no mistake. A
    number or a switch may be a text, as a value that is filled from the environment is, and a text
    may be a number, as YAML reads one. Names that are no Python names, such as `webhook-urls`, are
    aliases. Objects are frozen, and may be keys of a dict if all their values may.
    """

    model_config = ConfigDict(
        coerce_numbers_to_str=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
        populate_by_name=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        return {name: value for name, value in options.items() if value is not None}

    @classmethod
    def of(cls, options: "Mapping[str, Any] | GuestOptions | None") -> Self:
        """The options as an object, whether the caller has them as one or as a mapping.

        Raises:
            pydantic.ValidationError: a `ValueError` that names each wrong option.
        """
        return options if isinstance(options, cls) else cls.model_validate(options or {})
