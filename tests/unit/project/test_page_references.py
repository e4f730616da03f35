"""What the pages for contributors name exists: files, targets, settings, keys, links."""

import re
from functools import cache
from pathlib import Path

import pytest

from core.settings import Settings
from tests.unit.support.source_files import ROOMS, ROOT

PAGES = (
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs" / "glossary.md",
    ROOT / "docs" / "http-api.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
)
LINKED = (*PAGES, ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NOT_SETTINGS = {"MULTI", "WATCH", "RESERVED_PREFIXES", "NAME", "DLQ", "SKIP", "LOCKED", "HEAD"}
FOLDERS = (*ROOMS, "alembic", "docs", "scripts", "requirements")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def spans(page: Path) -> tuple[str, ...]:
    """The texts between backticks, code blocks left out."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return tuple(" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose))


@cache
def names_of_files() -> frozenset[str]:
    """The names of all files of the project."""
    folders = [ROOT / name for name in FOLDERS if (ROOT / name).is_dir()]
    return frozenset(path.name for folder in folders for path in folder.rglob("*.*"))


def is_path(text: str) -> bool:
    """Whether it looks like a file or folder of this project."""
    if re.search(r"[\s{}()<>=*]", text) or text.startswith(("--", "/")):
        return False
    return text.split("/", 1)[0] in FOLDERS if "/" in text else bool(FILE.search(text))


FILE = re.compile(r"^[\w.-]+\.(py|lua|md|txt|ya?ml|toml)$")
OURS_ELSEWHERE = {"config.yml"}
"""Files that are named and belong to the operator."""


@each_page
def test_files_and_folders_exist(page: Path) -> None:
    """Each path, from the top of the checkout, is there; a bare name is that of some file."""
    named = [text for text in spans(page) if is_path(text) and text not in OURS_ELSEWHERE]
    paths = [text for text in named if "/" in text and not text.startswith("scripts/")]
    top = {path.name for path in ROOT.iterdir()}
    bare = [Path(text).name for text in named if text not in paths and not text.endswith("/")]
    assert [text for text in paths if not (ROOT / text).exists()] == []
    assert [name for name in bare if name not in names_of_files() | top] == []


@each_page
def test_settings_and_keys_exist(page: Path) -> None:
    """Each name in capitals is a setting, and each key of ours is in the table of keys."""
    told = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    capitals = {name for text in spans(page) for name in re.findall(r"^[A-Z][A-Z_]{3,}$", text)}
    keys = {key for text in spans(page) for key in re.findall(r"\bpc:[a-z]+", text)}
    assert capitals - known == set()
    assert {key for key in keys if f"`{key}" not in told} == set()


@each_page
def test_targets_and_modules_exist(page: Path) -> None:
    """`make NAME` is a target, `python -m NAME` a module."""
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.MULTILINE)) <= {
        *((name, "") for name in targets),
        *(("", name) for name in targets),
    }
    modules = re.findall(r"python\s+-m\s+((?:devstack|flowlang)[\w.]*)", text)
    paths = [ROOT / name.replace(".", "/") for name in modules]
    assert [p for p in paths if not p.is_dir() and not p.with_suffix(".py").exists()] == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page: those that GitHub makes of headings, and those that are written."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    words = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    made = {re.sub(r"[^\w -]", "", each).replace(" ", "-") for each in words}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file, and its anchor a heading there."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_decision_is_in_the_index() -> None:
    """The index links to each page, under its title."""
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("[0-9]*.md"):
        title = page.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")
        assert f"| [{page.name[:2]}]({page.name}) | {title} |" in index


def test_the_hooks_check_what_make_checks() -> None:
    """Pre-commit's mypy has the rooms of the Makefile, and no hook needs a network."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    rooms = re.search(r"^ROOMS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rooms is not None
    assert rooms[1] in " ".join(hooks.split())
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert "://" not in hooks
