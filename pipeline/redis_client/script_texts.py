"""The Lua scripts as Redis gets them.

One that begins with `#!lua` is refused before it does anything when Redis has no memory left: what
brings vCons in. One with `flags=allow-oom` runs all the same: what ends a run, since only what has
been settled can expire and make room. What several scripts do stands in `parts/`, and a comment
`-- uses: NAME, NAME` says which of them a script needs.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "scripts"
_USES = re.compile(r"^-- uses: (.*)$", re.MULTILINE)


def script_texts() -> dict[str, str]:
    """Every script by its file name, with the parts it uses."""
    return {
        path.stem: _whole(path.read_text())
        for path in FOLDER.glob("*/*.lua")
        if path.parent.name != "parts"
    }


def _whole(text: str) -> str:
    used = _USES.search(text)
    if used is None:
        return text
    names = used[1].split(", ")
    parts = [(FOLDER / "parts" / f"{name}.lua").read_text() for name in names]
    shebang, body = re.fullmatch(r"(#!.*\n)?((?:.|\n)*)", text).groups("")  # type: ignore[union-attr]
    return "\n".join([shebang.rstrip(), *parts, body]).lstrip()
