"""The version in the code is that of the project."""

import tomllib

from core.version import VERSION
from tests.unit.support.source_files import ROOT


def test_both_versions_are_the_same() -> None:
    """The image has no `pyproject.toml`, so the code has the version, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
