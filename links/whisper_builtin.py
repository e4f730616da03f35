"""Transcribes recordings with Whisper in this process, without another server.

Reads each dialog of the type `recording`, from the vCon or from its URL. Writes an analysis of the
type `transcript`: `text`, `language`, `duration` and `segments` with their times, as JSON. It is
what `links.transcribe` does without `vendor`. Recordings with a transcript are skipped, so a second
run computes nothing. Each transcript is stored at once. If the vCon is not in Redis, the chain
ends.

It needs the extra `whisper` (`faster-whisper`). A model is loaded when the first recording comes,
once in each worker process, and takes from 0.3 GB (`base`) to 3 GB (`large-v3`) of memory there. It
is downloaded from Hugging Face unless `model_path` names a folder with one, in the format of
CTranslate2: `model.bin`, `config.json`, `tokenizer.json` and a vocabulary. `at_once` transcriptions
run in threads beside the event loop; others wait. The link has no `timeout` unless one is set;
`links.transcribe` has 300 seconds, which a long recording may need more than.

Raises `WhisperError` if the model cannot be loaded, `MediaError` and `FetchError` if a recording is
missing or cannot be fetched, and `AudioError` if ffmpeg cannot read it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lib.ai.local_whisper import LANGUAGES, SIZES, Model, transcribed
from lib.ai.transcription import Transcript, Vendor, add_transcripts
from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon.dialogs import Entry

__all__ = ["Options", "effect", "no_default_timeout", "only_through_lib", "run"]

only_through_lib = True
effect = "idempotent"
no_default_timeout = True

NAME = "whisper_builtin"
FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
"""What the library would try to download if it were not in the folder, or fail without."""


class Options(PluginOptions):
    """Options of the link."""

    model_size: str = Field(
        "base",
        min_length=1,
        description="the model: `tiny`, `base`, `small`, `medium`, `large-v3`, `turbo`, these with "
        "`.en` for English only, or the name of one on Hugging Face with a `/`",
    )
    output_options: list[Literal["vendor"]] = Field(
        ["vendor"], description="the forms of the transcript; only Whisper's own is made here"
    )
    model_path: str = Field(
        "", description="+ a folder with a model; nothing is downloaded, `model_size` has no effect"
    )
    download: bool = Field(
        True, description="+ `false`: the model must be in Hugging Face's cache on this machine"
    )
    language: str = Field("", description="+ the language spoken, such as `en`; unset: detected")
    minimum_duration: float = Field(0, description="+ seconds; shorter recordings are skipped")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="+ what computes")
    compute_type: str = Field(
        "default", description="+ the numbers to compute with, such as `int8`; see CTranslate2"
    )
    at_once: int = Field(1, ge=1, le=64, description="+ transcriptions at once in one process")
    cpu_threads: int = Field(
        0, ge=0, le=256, description="+ threads of one transcription on a CPU; 0: the library's 4"
    )

    @model_validator(mode="after")
    def _has_model(self) -> Self:
        folder = Path(self.model_path)
        if self.model_path and (lacks := [each for each in FILES if not any(folder.glob(each))]):
            raise ValueError(f"model_path: the folder has no {', '.join(lacks)}")
        if not self.model_path and "/" not in self.model_size and self.model_size not in SIZES:
            raise ValueError(f"model_size: must be one of {', '.join(SIZES)}")
        if self.language and self.language not in LANGUAGES:
            raise ValueError("language: must be a code of Whisper, such as `en` or `de`")
        return self

    @property
    def model(self) -> Model:
        """The model to load."""
        return Model(
            self.model_path or self.model_size,
            self.device,
            self.compute_type,
            self.cpu_threads,
            self.at_once,
            not self.download,
        )

    @property
    def kept(self) -> dict[str, Any]:
        """The options that are stored in the vCon as `vendor_schema`."""
        name = Path(self.model_path).name if self.model_path else self.model_size
        return {"model_size": name, "language": self.language}


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing transcripts; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)
    given = {"language": options.language} if options.language else {}

    async def transcribe(dialog: Entry) -> Transcript:
        return await transcribed(options.model, dialog, given)

    vendor = Vendor(NAME, NAME, transcribe, options.minimum_duration, {"opts": options.kept})
    return await add_transcripts(vcon_uuid, vendor)
