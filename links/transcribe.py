"""Transcribes recordings with a selected vendor, or in this process.

Calls the vendor's own link with `vendor_options`: `openai` is `links.openai_transcribe`, `groq` is
`links.groq_whisper`, `deepgram` is `links.deepgram_link`, `hugging_face` is
`links.hugging_face_whisper`. Without `vendor`, `links.whisper_builtin` transcribes with Whisper in
this process, which needs the extra `whisper` (in vcon-server this has never worked). Reads, writes
and raises what that link does. An unknown vendor, a wrong option and a missing library are reported
at the start.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from lib.options import PluginOptions
from lib.plain_calls import plain_too

only_through_lib = True
effect = "idempotent"

LINKS = {
    "openai": "openai_transcribe",
    "groq": "groq_whisper",
    "deepgram": "deepgram_link",
    "hugging_face": "hugging_face_whisper",
    "whisper_builtin": "whisper_builtin",
}
"""The link of each vendor."""


class Options(PluginOptions):
    """Options of the link."""

    vendor: Literal["openai", "groq", "deepgram", "hugging_face", "whisper_builtin"] = Field(
        "whisper_builtin", description="the vendor"
    )
    vendor_options: dict[str, Any] = Field({}, description="the options of the vendor's own link")
    transcribe_options: dict[str, Any] = Field(
        {}, description="the former name of `vendor_options`, which is used without these"
    )

    @model_validator(mode="after")
    def _fit_the_vendor(self) -> Self:
        try:
            _ = self.given
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
            texts = (f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in wrong)
            raise ValueError(f"vendor_options: {'; '.join(texts)}") from None
        return self

    @classmethod
    def handed_on(cls, options: Mapping[str, Any]) -> Mapping[str, type[BaseModel]]:
        """Both options with the vendor's are checked by the vendor's own model."""
        vendor = options.get("vendor") or cls.model_fields["vendor"].default
        if not isinstance(vendor, str) or vendor not in LINKS:
            return {}
        model = import_module(f"links.{LINKS[vendor]}").Options
        return dict.fromkeys(("vendor_options", "transcribe_options"), model)

    @cached_property
    def given(self) -> Any:
        """The validated options of the vendor's own link."""
        return self.link.Options.of(self.vendor_options or self.transcribe_options)

    @property
    def link(self) -> ModuleType:
        """The module of the vendor's own link."""
        return import_module(f"links.{LINKS[self.vendor]}")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Run the vendor's link; returns its result."""
    options = Options.of(opts)
    outcome: str | None = await options.link.run(vcon_uuid, link_name, options.given)
    return outcome
