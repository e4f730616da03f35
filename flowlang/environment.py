"""The environment, which nothing else in this package reads."""

import os
from pathlib import Path


def variable(name: str) -> str | None:
    """The value of an environment variable."""
    return os.environ.get(name)


def plugin_folders() -> list[Path]:
    """The folders of `FLOWLANG_PLUGIN_PATH`, separated as in `PATH`."""
    folders = (variable("FLOWLANG_PLUGIN_PATH") or "").split(os.pathsep)
    return [Path(folder) for folder in folders if folder]
