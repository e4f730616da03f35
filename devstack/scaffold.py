"""`make new-link NAME=...` and so on: generates a working module with a passing test."""

import argparse
import keyword
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "templates"

FILES: dict[str, dict[str, str]] = {
    "link": {
        "links/$name.py": "link",
        "tests/integration/test_link_$name.py": "link_test",
    },
    "storage": {
        "storage/$name.py": "storage",
        "tests/integration/test_storage_$name.py": "storage_test",
    },
    "action": {
        "actions/$name.py": "action",
        "tests/unit/test_action_$name.py": "action_test",
    },
    "external": {
        "$dashed/pyproject.toml": "external_pyproject",
        "$dashed/README.md": "external_readme",
        "$dashed/$name/__init__.py": "external_link",
        "$dashed/tests/test_$name.py": "external_test",
        "$dashed/tests/test_conformance.py": "external_conformance_test",
    },
}
"""What is made of each kind: paths, and the templates they are made from."""


class ScaffoldError(Exception):
    """Nothing was written; the message has the cause."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name in the forms that modules, packages and classes have."""

    module: str

    @classmethod
    def of(cls, text: str) -> "Name":
        """The name of a module, a package (`my-link`) or a class (`MyLink`).

        Raises:
            ScaffoldError: if the text is not a valid name.
        """
        module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip()).replace("-", "_").lower()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", module) or keyword.iskeyword(module):
            msg = f"NAME={text!r}: letters, digits and underscores, such as NAME=word_count"
            raise ScaffoldError(msg)
        return cls(module)

    @property
    def words(self) -> Mapping[str, str]:
        """The substitutions in templates."""
        class_name = "".join(part.capitalize() for part in self.module.split("_"))
        dashed = self.module.replace("_", "-")
        return {"name": self.module, "class_name": class_name, "dashed": dashed}


def scaffold(kind: str, name: Name, folder: Path) -> list[Path]:
    """Write the files of a kind below a folder; returns their paths.

    Raises:
        ScaffoldError: if one of them exists; nothing is written.
    """
    contents = {
        folder / Template(path).substitute(name.words): _filled(template, name)
        for path, template in FILES[kind].items()
    }
    if there := [path for path in contents if path.exists()]:
        raise ScaffoldError(f"{there[0]} is there already; choose another NAME")
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(contents)


def describe(kind: str, name: Name, folder: Path) -> None:
    """Update the pages about plugins and actions."""
    if kind == "action":
        page = folder / "docs" / "actions.md"
        page.write_text(page.read_text() + _filled("action_page", name))
    elif kind != "external":  # the module is imported for it, in a process of its own
        command = [sys.executable, "-m", "devstack.pages.plugin_pages", _module(kind, name)]
        subprocess.run(command, cwd=folder, check=True)


def _module(kind: str, name: Name) -> str:
    path = Template(next(iter(FILES[kind]))).substitute(name.words)
    return path.removesuffix(".py").replace("/", ".")


def _filled(template: str, name: Name) -> str:
    return Template((TEMPLATES / f"{template}.txt").read_text()).substitute(name.words)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns 0, or 2 after printing the error."""
    parser = argparse.ArgumentParser(prog="python -m devstack.scaffold", description=__doc__)
    parser.add_argument("kind", choices=sorted(FILES))
    parser.add_argument("name")
    parser.add_argument("--into", type=Path, help="the folder; for external ones, that beside ours")
    given = parser.parse_args(arguments)
    folder = given.into or (ROOT.parent if given.kind == "external" else ROOT)
    try:
        name = Name.of(given.name)
        written = scaffold(given.kind, name, folder)
        describe(given.kind, name, folder)
    except ScaffoldError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(f"written: {path}" for path in written))
    print(_next(given.kind, name, folder))
    return 0


def _next(kind: str, name: Name, folder: Path) -> str:
    words = name.words
    if kind == "external":
        made, checkout = (shlex.quote(str(each)) for each in (folder / words["dashed"], ROOT))
        python = shlex.quote(sys.executable)
        return f"next: cd {made} && PYTHONPATH={checkout} {python} -m pytest"
    test = next(path for path in FILES[kind] if path.startswith("tests/"))
    return f'next: make test ARGS="{Template(test).substitute(words)}"'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
