"""The environment, which nothing else in this package reads.

A text may hold `${env.NAME}`, or `${env.NAME:-default}` for when the variable is not set or empty.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

USUAL_FOLDER = Path("src/flowlang/connections")

_DEFAULT = r"(?:[^}$]|\$(?!\{))*+"
"""Up to the brace that closes, and over no other reference: so each text is read once."""
_REFERENCE = re.compile(rf"\$\{{env\.([^}}:$]++)(?::-({_DEFAULT}))?\}}")
_SHORT = re.compile(rf"\$\{{(?!env\.)([A-Za-z_]\w*+(?::-{_DEFAULT})?)\}}")


def variable(name: str) -> str | None:
    """The value of an environment variable."""
    return os.environ.get(name)


def plugin_folders() -> list[Path]:
    """The folders of `FLOWLANG_PLUGIN_PATH`, separated as in `PATH`, and FlowLang's own if there.

    Its guide puts plugins into `src/flowlang/connections` of the working directory.
    """
    folders = (variable("FLOWLANG_PLUGIN_PATH") or "").split(os.pathsep)
    usual = [USUAL_FOLDER] if USUAL_FOLDER.is_dir() else []
    return [*(Path(folder) for folder in folders if folder), *usual]


def is_reference(text: str) -> bool:
    """Whether the text is one reference and nothing else."""
    return _REFERENCE.fullmatch(text) is not None


def substitute(text: str) -> str:
    """The text with every reference replaced. Raises LookupError with a sentence to show."""
    return _REFERENCE.sub(_value, text)


def _value(match: re.Match[str]) -> str:
    name, default = match.groups()
    value = variable(name)
    if default is not None:
        return value or default
    if value is None:
        raise LookupError(f"Environment variable '{name}' not found")
    return value


def as_references(value: object) -> object:
    """A copy of what stands in `config.yml`, where `${NAME}` means `${env.NAME}`."""
    match value:
        case str():
            return _SHORT.sub(r"${env.\1}", value)
        case Mapping():
            return {key: as_references(item) for key, item in value.items()}
        case list():
            return [as_references(item) for item in value]
        case _:
            return value
