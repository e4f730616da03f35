"""Finding the file of a flow by its name, only inside the folder of flows."""

import re
from pathlib import Path

from flowlang.exceptions import FlowValidationError
from flowlang.language.flow import Flow

_NAME = re.compile(r"[\w-]+([./][\w-]+)*")
_LONGEST = 200
_FORMS = ("{}", "{}.yaml", "{}.yml", "{}/flow.yaml", "{}/flow.yml")


def find_flow(name: str, folder: Path | None) -> Path:
    """The file of a flow, named with or without its ending. Raises FlowValidationError."""
    if folder is None:
        raise FlowValidationError(f"Subflow '{name}' cannot be found: the flow is in no folder")
    home = folder.resolve()
    for form in _FORMS if len(name) <= _LONGEST and _NAME.fullmatch(name) else ():
        path = (home / form.format(name)).resolve()
        if path.is_file() and path.is_relative_to(home) and path.suffix in (".yaml", ".yml"):
            return path
    there = sorted(path.stem for path in home.glob("*.y*ml")) if home.is_dir() else []
    known = ", ".join(there) or "none"
    raise FlowValidationError(
        f"There is no flow '{name:.{_LONGEST}}' in {home.name}. There is: {known}"
    )


def load_subflow(name: str, caller: Flow, above: tuple[Path, ...]) -> Flow:
    """A subflow. Raises FlowValidationError if it is one of the flows above it."""
    path = find_flow(name, caller.folder)
    if path in above:
        way = " -> ".join(each.stem for each in (*above, path))
        raise FlowValidationError(f"Subflow '{name}' would call itself: {way}")
    return Flow.read(path)
