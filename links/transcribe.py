"""Transcribes recordings with the vendor of your choice.

Reads and writes what the vendor's own link does, which is called with `vendor_options`: `openai` is
`links.openai_transcribe`, `groq` is `links.groq_whisper`, `deepgram` is `links.deepgram_link`.
Raises what that raises. A wrong vendor or option is told at the start, and so is a library that is
not installed.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from lib.options import GuestOptions
from lib.plain_calls import plain_too

only_through_lib = True

LINKS = {"openai": "openai_transcribe", "groq": "groq_whisper", "deepgram": "deepgram_link"}
"""The link of each vendor."""


class Options(GuestOptions):
    """Who transcribes, and how."""

    vendor: Literal["openai", "groq", "deepgram"] = Field(description="who transcribes")
    vendor_options: dict[str, Any] = Field({}, description="the options of the vendor's own link")

    @model_validator(mode="after")
    def _fit_the_vendor(self) -> Self:
        try:
            _ = self.given
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
            told = (f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in wrong)
            raise ValueError(f"vendor_options: {'; '.join(told)}") from None
        return self

    @cached_property
    def given(self) -> Any:
        """The options of the vendor's own link, checked."""
        return self.link.Options.of(self.vendor_options)

    @property
    def link(self) -> ModuleType:
        """The vendor's own link."""
        return import_module(f"links.{LINKS[self.vendor]}")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Run the vendor's link; what that returns."""
    options = Options.of(opts)
    outcome: str | None = await options.link.run(vcon_uuid, link_name, options.given)
    return outcome
