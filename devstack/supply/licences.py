"""`python -m devstack.supply.licences` writes the table of licences into docs/dependencies.md.

Licences come from the packages' installed metadata; see `licence`.
"""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from devstack.bootstrap import COUNTERPARTS, DEVSTACK, SERVICE, TEST, TOOLS
from devstack.supply.pins import EXTRAS, Pin, read_pins

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "dependencies.md"
BEGIN, END = "<!-- licences: begin -->\n", "<!-- licences: end -->\n"
HEAD = "| package | licence | in |\n|---|---|---|\n"
UNKNOWN = "unknown"
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages write in the place of an SPDX identifier."""
VAGUE = {"", "Dual License"}
_LONGEST = 60


def licence(expression: str | None, field: str | None, classifiers: Iterable[str]) -> str:
    """The licence of a package: its SPDX expression, else its field `License`, else classifiers."""
    if expression:
        return expression
    name, *more = (field or "").strip().splitlines() or [""]
    is_name = not more and len(name) <= _LONGEST and name not in VAGUE
    if is_name or name in SPDX:  # a licence's text begins with its name
        return SPDX.get(name, name)
    named = (each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: "))
    return " OR ".join(SPDX.get(each, each) for each in named) or UNKNOWN


def licence_of(name: str) -> str | None:
    """The licence of an installed package; None when it is for another system than this one."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = about.get_all("Classifier") or []
    return licence(about.get("License-Expression"), about.get("License"), classifiers)


def requirement_files() -> dict[str, str]:
    """Each requirement file, relative to the checkout, and its purpose."""
    extras = sorted((ROOT / EXTRAS).glob("*.txt"))
    return {
        SERVICE: "service",
        **{str(EXTRAS / file.name): f"extra {file.stem}" for file in extras},
        DEVSTACK: "development",
        TEST: "development",
        COUNTERPARTS: "development",
        TOOLS: "development",
    }


def uses() -> dict[str, tuple[Pin, list[str]]]:
    """Each pinned package by name, with its purpose: the service, extras, or development."""
    found: dict[str, tuple[Pin, list[str]]] = {}
    for file, use in requirement_files().items():
        for pin in read_pins(ROOT / file):
            _, known = found.setdefault(pin.name, (pin, []))
            if use not in known and "service" not in known and (use != "development" or not known):
                known.append(use)
    return dict(sorted(found.items()))


def table() -> str:
    """The table of the packages for this system."""
    found = ((name, licence_of(name), used) for name, (_, used) in uses().items())
    rows = [f"| {name} | {text} | {', '.join(used)} |\n" for name, text, used in found if text]
    return HEAD + "".join(rows)


def page(text: str) -> str:
    """The page with the current table."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
