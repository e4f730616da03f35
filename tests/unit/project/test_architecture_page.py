"""docs/architecture.md: its rooms are the folders, its rules the contracts, its files exist."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest

from tests.unit.project.test_architecture import edges
from tests.unit.support.source_files import ROOT, SERVICE, service

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
SPLIT = ("core", "http_api", "pipeline")
"""The folders whose sub-folders are rooms of their own."""
SHARED = {"core", "core.concurrency", "schemas"}
"""What each of those rooms may import, by the general rule."""
JOINING = {
    *("pipeline.live_config", "pipeline.api", "pipeline.composition"),
    *("core.plugboard_client", "core.database", "entrypoint"),
    *("http_api.application", "http_api.routes"),
}
"""Files that are rooms."""


def code_spans(text: str) -> list[str]:
    """The texts between backticks."""
    return re.findall(r"`([^`]+)`", text)


def room_named(text: str) -> str:
    """`core/db/` as `core.db`, `pipeline/api.py` as `pipeline.api`, `core/*.py` as `core`."""
    return text.removesuffix("/*.py").removesuffix(".py").strip("/").replace("/", ".")


def rooms_named(text: str) -> set[str]:
    """The rooms that a cell names; `core/` and the like are all below them."""
    named = {each for each in code_spans(text) if each.endswith(("/", ".py"))}
    wide = {room_named(each) for each in named if each.strip("/") in SPLIT and each.endswith("/")}
    below = {room for room in folders() | JOINING if room.split(".")[0] in wide}
    return below | {room_named(each) for each in named if room_named(each) not in wide}


@cache
def table() -> dict[str, set[str]]:
    """Each room of the table with those that it may import, the general rule applied."""
    part = PAGE.partition("## Rooms\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| `")]
    found = {}
    for names, _, *allowed in rows:
        for name in rooms_named(names):
            general = SHARED if name.split(".")[0] in SPLIT else set()
            found[name] = (general | rooms_named("".join(allowed))) - {name}
    return found


@cache
def folders() -> frozenset[str]:
    """The folders of the service that are rooms."""
    split = [ROOT / name for name in SPLIT]
    below = [
        path for folder in split for path in folder.iterdir() if (path / "__init__.py").exists()
    ]
    names = {f"{path.parent.name}.{path.name}" for path in below}
    return frozenset({*SERVICE, "alembic", *names} - {"pipeline"})


def room_of(module: str) -> str:
    """The room that a module belongs to."""
    parts = module.split(".")
    for room in (".".join(parts[:2]), parts[0]):
        if room in folders() | JOINING:
            return room
    return parts[0]


def ancestors(room: str) -> set[str]:
    """The room and the package above it."""
    return {room, room.partition(".")[0]}


def denials(importer: str, imported: str) -> Iterator[str]:
    """The names of the contracts that forbid this import."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in settings["tool"]["importlinter"]["contracts"]:
        kind = contract["type"]
        if kind == "layers" and not _layers_allow(contract, importer, imported):
            yield contract["name"]
        if (
            kind == "forbidden"
            and ancestors(importer) & set(contract["source_modules"])
            and ancestors(imported) & set(contract["forbidden_modules"])
        ):
            yield contract["name"]


def _layers_allow(contract: dict[str, object], importer: str, imported: str) -> bool:
    above, below = _layer(contract, importer), _layer(contract, imported)
    if above is None or below is None:
        return True
    return above[0] < below[0] or (above[0] == below[0] and (":" in above[1] or above == below))


def _layer(contract: dict[str, object], room: str) -> tuple[int, str] | None:
    """Which layer of the contract a room is in, from the top, and which part of the layer."""
    layers, containers = contract["layers"], contract.get("containers", [""])
    assert isinstance(layers, list)
    assert isinstance(containers, list)
    top, _, name = room.partition(".")
    wanted = {name or "settings"} if top in containers else {top} if "" in containers else set()
    for number, layer in enumerate(layers):
        for found in wanted & set(re.split(r" [|:] ", layer)):
            return number, layer if " : " in layer or " | " not in layer else f"{layer} of {found}"
    return None


def test_the_table_has_every_room_and_no_other() -> None:
    """Each folder of the service and each file that joins rooms has one row."""
    assert table().keys() == {*folders(), *JOINING}


def test_the_table_lists_nothing_that_a_contract_forbids() -> None:
    """Each import that it allows is allowed by `[tool.importlinter]`."""
    for importer, imported in ((a, b) for a, rooms in table().items() for b in rooms if a != b):
        assert list(denials(importer, imported)) == [], f"{importer} -> {imported}"


def test_the_contracts_are_read_as_import_linter_reads_them() -> None:
    """Upwards, between independent neighbours, and where a contract says so: forbidden."""
    assert list(denials("core.db", "core.plugboard")) == ["core"]
    assert list(denials("core.phoenix", "core.db")) == ["core"]
    assert list(denials("pipeline.worker", "pipeline.admin")) == ["pipeline"]
    assert list(denials("http_api.serving", "http_api.handlers")) == ["http_api"]
    assert list(denials("http_api.handlers", "http_api.routes")) == ["http_api"]
    assert list(denials("core", "pipeline.runs")) == ["the service"]
    assert "flowlang stands alone" in list(denials("flowlang", "core"))
    assert "built-in plugins use what other plugins could use" in list(denials("links", "schemas"))
    assert list(denials("pipeline.runs", "pipeline.vcon")) == []
    assert list(denials("http_api.application", "http_api.routes")) == []
    assert list(denials("schemas", "core")) == []


def test_every_import_of_the_code_is_in_the_table() -> None:
    """A room imports what its row lists and nothing else of the service."""
    known, missing = table(), set()
    for source in service():
        room = "alembic" if source.room == "alembic" else room_of(source.module)
        used = {room_of(module) for module in edges(source)} - {room}
        missing |= {f"{room} -> {each}" for each in used - known.get(room, set())}
    assert missing == set()


def walk(heading: str) -> list[str]:
    """The files of the numbered list below a heading."""
    part = PAGE.partition(f"### {heading}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+)`", part, re.MULTILINE)


@pytest.mark.parametrize(
    "heading",
    [
        *("A request", "A vCon", "A partner's push"),
        *("An HTTP request", "The configuration", "A module"),
    ],
)
def test_the_files_of_each_walk_exist(heading: str) -> None:
    """None stands twice; `tests/integration/project/test_hops.py` compares them with what runs."""
    files = walk(heading)
    assert len(files) > 5
    assert len(set(files)) == len(files)
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_every_file_that_the_page_names_exists() -> None:
    """Paths from the top of the checkout, and names of scripts; those of the plan excepted."""
    page = re.sub(
        r"^\| [^|]*\|", "|", PAGE.partition("Differences of the tree")[2], flags=re.MULTILINE
    )
    text = PAGE.partition("Differences of the tree")[0] + page
    paths = {each for each in code_spans(text) if re.fullmatch(r"[a-z_]+/[\w./-]*(/|\.\w+)", each)}
    scripts = {each for each in code_spans(text) if re.fullmatch(r"\w+\.lua", each)}
    known = {path.name for path in (ROOT / "pipeline").rglob("*.lua")}
    assert len(paths) > 60
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert scripts <= known
