"""The version of this code; a release changes it together with `pyproject.toml`."""

from typing import Final

VERSION: Final = "0.1.0"
