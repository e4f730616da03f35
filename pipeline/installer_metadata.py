"""What pip reads of the service's own packages where the requirement files leave out their needs.

The `vcon` package names packages that the service runs without (requirements/excluded.in). A plugin
whose package needs `vcon` would have pip install them after all. pip reads the first metadata that
it finds of a package, so it is given a copy without those needs; a plugin that names one of them
itself still gets it.
"""

import sys
from collections.abc import Collection
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_NEED = "Requires-Dist:"


def write_amended(place: Path, modules: Path) -> None:
    """Write, below `place`, metadata for each package outside `modules` that lacks a need."""
    installed = {canonicalize_name(each.name) for each in metadata.distributions() if each.name}
    own = [each for each in sys.path if each != str(modules)]
    for dist in metadata.distributions(path=own):
        text = dist.read_text("METADATA") or ""
        if (amended := without_absent(text, installed)) != text:
            about = place / f"{dist.name}-{dist.version}.dist-info"
            about.mkdir(exist_ok=True)
            (about / "METADATA").write_text(amended, encoding="utf-8")


def without_absent(text: str, installed: Collection[str]) -> str:
    """A METADATA file without the needs that hold here and are not among the installed names."""
    head, blank, rest = text.partition("\n\n")
    lines = [line for line in head.split("\n") if not _is_absent(line, installed)]
    return "\n".join(lines) + blank + rest


def _is_absent(line: str, installed: Collection[str]) -> bool:
    if not line.startswith(_NEED):
        return False
    try:
        need = Requirement(line.removeprefix(_NEED).strip())
    except InvalidRequirement:  # pip's to refuse
        return False
    holds = need.marker is None or need.marker.evaluate({"extra": ""})
    return holds and canonicalize_name(need.name) not in installed
