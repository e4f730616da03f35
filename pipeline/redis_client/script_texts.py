"""The texts of the Lua scripts as they are loaded into Redis.

Redis refuses a script that begins with `#!lua` while it has no memory left: those that bring vCons
in. A script with `flags=allow-oom` still runs: those that end runs, since only settled vCons can
expire and free memory. Functions that several scripts share are in `parts/`; a comment
`-- uses: NAME, NAME` names those that are put before a script.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent / "scripts"
_USES = re.compile(r"^-- uses: (.*)$", re.MULTILINE)


@cache
def script_texts() -> Mapping[str, str]:
    """Every script by its file name, with its parts included; all clients share them."""
    return MappingProxyType(
        {
            path.stem: _whole(path.read_text())
            for path in FOLDER.glob("*/*.lua")
            if path.parent.name != "parts"
        }
    )


def _whole(text: str) -> str:
    used = _USES.search(text)
    if used is None:
        return text
    names = used[1].split(", ")
    parts = [(FOLDER / "parts" / f"{name}.lua").read_text() for name in names]
    shebang, body = re.fullmatch(r"(#!.*\n)?((?:.|\n)*)", text).groups("")  # type: ignore[union-attr]
    return "\n".join([shebang.rstrip(), *parts, body]).lstrip()
