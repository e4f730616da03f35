"""Environment variables that are ignored, though they look as if they were meant for us."""

import difflib
import logging
from collections.abc import Iterable, Mapping

from core.settings import Settings

log = logging.getLogger(__name__)

CUTOFF = 0.85
"""How alike two names must be, as `difflib` counts it: `REDIS_URI` is, `POSTGRES_DB` is not."""
ELSEWHERE = ("ENV_FILE",)
"""Read before the settings are."""
DATADOG = ("DD_API_KEY", "DD_SITE")
AGENT = "set OTEL_EXPORTER_OTLP_ENDPOINT to a Datadog Agent, see docs/telemetry.md"
_FREE = ("OTEL_",)
"""Names of others: OpenTelemetry has many that are alike."""


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """A remark for each variable that is no setting and is spelt nearly like one.

    The value, which may be a secret, is not told. Digits count: `REDIS_URL_2` is a name of its own.
    """
    known = sorted(name.upper() for name in Settings.model_fields)
    others = sorted({name for name in environ if name.upper() not in known})
    others = [name for name in others if name not in ELSEWHERE]
    told = ((name, _meant(name, known)) for name in others if not name.startswith(_FREE))
    notes = [f"{name} is not a setting; did you mean {near}?" for name, near in told if near]
    return notes + _unsent(environ)


def _unsent(environ: Mapping[str, str]) -> list[str]:
    """vcon-server sends to Datadog itself; here an Agent stands in between."""
    set_here = [name for name in DATADOG if environ.get(name)]
    if not set_here or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return []
    return [f"{' and '.join(set_here)}: nothing is sent to Datadog; {AGENT}"]


def warn_of_misspelt(environ: Mapping[str, str]) -> None:
    """Log them, each in a line of its own."""
    for note in misspelt(environ):
        log.warning("environment variable ignored", extra={"error": note})


def _meant(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=CUTOFF)
    return next((each for each in near if _digits(each) == _digits(name)), None)


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))
