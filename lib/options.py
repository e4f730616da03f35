"""The base class for the `Options` of a plugin: names, types, defaults and descriptions.

The service validates the configuration against it when the plugin is loaded, so a mistake is
reported at the start and not with the first vCon. The built-in plugins' pages are generated from
it.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from core.environment import inherited_environment
from core.observability.redaction import KNOWN, names_a_secret


class PluginOptions(BaseModel):
    """Options of a plugin; declare `class Options(PluginOptions)` in its module.

    A null option counts as unset, so an empty `headers:` in YAML is valid. Numbers and booleans may
    be strings, as values filled from the environment are, and strings may be numbers, as YAML
    parses them. Names that are not Python identifiers, such as `webhook-urls`, are aliases.
    Objects are frozen, and hashable if all their values are.
    """

    model_config = ConfigDict(
        coerce_numbers_to_str=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # an input may be a secret
        populate_by_name=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        return {name: value for name, value in options.items() if value is not None}

    @classmethod
    def of(cls, options: "Mapping[str, Any] | PluginOptions | None") -> Self:
        """Validated options from a mapping; an object of this class is returned unchanged.

        Raises:
            pydantic.ValidationError: a `ValueError` that names each wrong option.
        """
        return options if isinstance(options, cls) else cls.model_validate(options or {})

    @classmethod
    def handed_on(cls, options: Mapping[str, Any]) -> Mapping[str, type[BaseModel]]:
        """The models of options that go to another plugin, by the option that contains them.

        With these given options; the names in such an option are checked as those of a plugin.
        """
        del options
        return {}


def vendor_variable(name: str) -> str:
    """An environment variable that a vendor's own programs read, such as `HF_TOKEN`; else empty.

    A plugin uses it where its option for the same is unset.
    """
    value = inherited_environment().get(name, "").strip()
    if names_a_secret(name):
        KNOWN.learn_value(value)
    return value


GuestOptions = PluginOptions
"""The former name, for plugins that import it."""
