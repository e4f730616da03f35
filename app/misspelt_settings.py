"""Environment variables that are no settings, but are spelt nearly like one."""

import difflib
import logging
from collections.abc import Iterable, Mapping

from core.settings import Settings

log = logging.getLogger(__name__)

CUTOFF = 0.85
"""Least similarity by `difflib`: `REDIS_URI` is similar to a setting, `POSTGRES_DB` is not."""
ELSEWHERE = ("ENV_FILE",)
"""Variables that are read before the settings."""
DATADOG = ("DD_API_KEY", "DD_SITE")
AGENT = "set OTEL_EXPORTER_OTLP_ENDPOINT to a Datadog Agent, see docs/telemetry.md"
_FREE = ("OTEL_",)
"""Prefixes that are not checked: OpenTelemetry has variables with similar names."""


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """A note for each variable with a name similar to a setting's, without its value.

    Names with other digits are not similar: `REDIS_URL_2` may belong to another program.
    """
    known = sorted(name.upper() for name in Settings.model_fields)
    others = sorted({name for name in environ if name.upper() not in known})
    others = [name for name in others if name not in ELSEWHERE]
    pairs = ((name, _meant(name, known)) for name in others if not name.startswith(_FREE))
    notes = [f"{name} is not a setting; did you mean {near}?" for name, near in pairs if near]
    return notes + _unsent(environ)


def _unsent(environ: Mapping[str, str]) -> list[str]:
    """vcon-server sends to Datadog itself; this service sends to a Datadog Agent."""
    set_here = [name for name in DATADOG if environ.get(name)]
    if not set_here or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return []
    return [f"{' and '.join(set_here)}: nothing is sent to Datadog; {AGENT}"]


def warn_of_misspelt(environ: Mapping[str, str]) -> None:
    """Log each note at WARNING."""
    for note in misspelt(environ):
        log.warning("environment variable ignored", extra={"error": note})


def _meant(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=CUTOFF)
    return next((each for each in near if _digits(each) == _digits(name)), None)


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))
