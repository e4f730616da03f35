"""The Lua scripts as Redis gets them.

A script may begin with `#!lua`: Redis then refuses it whole when it has no memory left, instead of
failing somewhere in its middle; with `flags=allow-oom` it runs all the same. What several scripts
do stands in `parts/`, and a comment `-- uses: NAME, NAME` says which of them a script needs.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "scripts"
_USES = re.compile(r"^-- uses: (.*)$", re.MULTILINE)


def script_texts() -> dict[str, str]:
    """Every script by its file name, with the parts it uses."""
    return {path.stem: _whole(path.read_text()) for path in FOLDER.glob("*.lua")}


def _whole(text: str) -> str:
    used = _USES.search(text)
    if used is None:
        return text
    names = used[1].split(", ")
    parts = [(FOLDER / "parts" / f"{name}.lua").read_text() for name in names]
    shebang, body = re.fullmatch(r"(#!.*\n)?((?:.|\n)*)", text).groups("")  # type: ignore[union-attr]
    return "\n".join([shebang.rstrip(), *parts, body]).lstrip()
