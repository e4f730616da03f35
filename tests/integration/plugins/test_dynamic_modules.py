"""Modules that a configuration names and that are not there: real packages, installed by pip."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError, PluginFailedError
from core.settings import Settings
from lib.vcon_server import aliases
from pipeline.config.parser import StorageSpec, parse
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import Plugins, load, load_storage
from pipeline.runs.factories import installer
from tests.canaries import canary
from tests.integration.support.package_index import LINK, branch, commit, repository, serving, wheel

ROOMS = ("lib", "links", "storage", "tracers")
ROOT = Path(__file__).parents[3]
TOKEN = canary("ghp-token-of-a-test-842d")
EIGHT = """
import os, sys
from pathlib import Path
from pipeline.config.parser import StorageSpec, parse
from pipeline.runs.factories import installer
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import load

config = parse({"imports": {"x": "made_up_link"}, "chains": {}}, {})
children = []
for _ in range(8):
    children.append(os.fork())
    if not children[-1]:
        load(config, Installer(Path(sys.argv[1]), allowed=bool(sys.argv[2])))
        os._exit(0 if sys.modules["made_up_link"].VERSION == "1" else 1)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """MODULES_DIR."""
    return tmp_path / "modules"


@pytest.fixture
def rooms() -> Iterator[None]:
    """The packages of plugins and their aliases as they are, and after the test as they were."""
    paths = {room: list(importlib.import_module(room).__path__) for room in ROOMS}
    finders = sys.meta_path.copy()
    aliases.install()
    yield
    sys.meta_path[:] = finders
    for room, path in paths.items():
        package = importlib.import_module(room)
        package.__path__ = path
        package.__dict__.pop("fancy", None)


@pytest.fixture
def asked() -> list[str]:
    """The paths that the index was asked for."""
    return []


@pytest.fixture(autouse=True)
def index(tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index of our own, and no traces of what was installed from it."""
    packages = tmp_path / "index"
    before, path = set(sys.modules), sys.path.copy()
    with serving(packages, asked) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        yield packages
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def loaded(folder: Path | None, module: str, pip_name: str | None = None, **more: Any) -> Plugins:
    """Load a configuration whose only chain has one link."""
    link = {"module": module} | ({"pip_name": pip_name} if pip_name else {})
    chains = {"main": {"links": ["x"]}}
    return load(parse({"links": {"x": link}, "chains": chains, **more}, {}), Installer(folder))


def refused(folder: Path | None, module: str, pip_name: str | None = None) -> str:
    """The one problem of loading it."""
    with pytest.raises(ConfigurationError) as problems:
        loaded(folder, module, pip_name)
    [problem] = problems.value.problems
    return problem


def version(plugins: Plugins) -> Any:
    """Which version of the made-up link was loaded."""
    [link] = plugins.links.values()
    return sys.modules[link.run.__module__].VERSION


def test_a_range_of_versions_is_installed_with_what_it_needs(
    folder: Path, index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest that fits, with its needs; once, also when another load wants it again."""
    wheel(index, "needed-by-it", "1.0", needed_by_it="WORD = 'there'\n")
    needs = "from needed_by_it import WORD\n"
    for number in ("1.0", "1.5", "2.0"):
        source = needs + LINK.format(version=number)
        wheel(index, "made-up", number, "needed-by-it", made_up_link=source)
    caplog.set_level(logging.INFO)
    assert version(loaded(folder, "made_up_link", "made-up>=1.0,<2.0")) == "1.5"
    assert version(loaded(folder, "made_up_link", "made-up>=1.0,<2.0")) == "1.5"
    events = [record.message for record in caplog.records]
    assert events.count("installing module") == events.count("module installed") == 1
    told = next(record for record in caplog.records if record.message == "module imported")
    assert (vars(told)["package"], vars(told)["version"]) == ("made-up", "1.5")
    assert str(folder / sys.implementation.cache_tag) == sys.path[-1]
    pinned = {"module": "made_up_link", "pip_name": "made-up==2"}
    links = {"a": {"module": "made_up_link"}, "b": pinned}
    load(parse({"links": links, "chains": {"main": {"links": ["a", "b"]}}}, {}), Installer(folder))
    [warning] = [each for each in caplog.records if each.levelname == "WARNING"]
    assert vars(warning)["error"].startswith("==2 is asked for, 1.5 is installed; ")


def test_a_package_like_its_module_needs_no_pip_name(
    folder: Path,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pre-release only with `--pre`; an entry of `imports` may be just the name.

    Its version is told, too. What an operator's pip does for people (`--user`, only in
    environments) does not matter.
    """
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("PIP_USER", "1")
    wheel(index, "made-up-link", "1.0b1", made_up_link=LINK.format(version="beta"))
    assert version(loaded(folder, "made_up_link", "made-up-link --pre")) == "beta"
    wheel(index, "tool-of-it", "1.0", tool_of_it="")
    loaded(folder, "made_up_link", imports={"tool": "tool_of_it"})
    assert "tool_of_it" in sys.modules
    told = [vars(each) for each in caplog.records if each.message == "module imported"]
    assert ("tool-of-it", "1.0") in [(each["package"], each["version"]) for each in told]


def test_a_repository_at_a_tag(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The revision that is named, built without an index; a later difference is logged."""
    url = repository(tmp_path / "repo")
    assert version(loaded(folder, "repo_link", f"{url}@v1")) == "v1"
    for revision in ("v1", commit(tmp_path / "repo", "v1"), "main"):
        assert version(loaded(folder, "repo_link", f"{url}@{revision}")) == "v1"
    [warning] = [each for each in caplog.records if each.levelname == "WARNING"]
    assert vars(warning)["error"].startswith("revision main is asked for, v1 is installed; ")


@pytest.mark.parametrize("revision", ["a branch", "a commit", ""])
def test_a_repository_at_something_else(folder: Path, tmp_path: Path, revision: str) -> None:
    """The end of a branch, a commit, and without either the end of the main branch."""
    url, at = repository(tmp_path / "repo"), ""
    if revision == "a branch":
        branch(tmp_path / "repo", "feature/x", "v1")
        at = "@feature/x"
    elif revision == "a commit":
        at = f"@{commit(tmp_path / 'repo', 'v1')}"
    assert version(loaded(folder, "repo_link", url + at)) == ("v1" if at else "v2")


def test_a_private_repository(
    folder: Path, index: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token opens it, and is in no command line, log line or kept file; a wrong one fails."""
    repository(index / "private")
    where = os.environ["PIP_INDEX_URL"].removeprefix("http://") + "private/.git@v2"
    commands: list[Any] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (commands.append(a), run(*a, **k))[1])
    problem = refused(folder, "repo_link", f"git+http://token:wrong-one@{where}")
    assert "Authentication failed" in problem or "terminal prompts disabled" in problem
    assert "wrong-one" not in problem
    assert version(loaded(folder, "repo_link", f"git+http://token:{TOKEN}@{where}")) == "v2"
    kept = [each.read_bytes() for each in folder.rglob("*") if each.is_file()]
    assert len(commands) == 2
    assert TOKEN not in f"{commands}{kept}{[vars(record) for record in caplog.records]}"


def test_a_wheel_behind_a_password(
    folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password of its address is in no argument of pip, and in no file that others may read."""
    wheel(index, "made-up-link", "1.0", made_up_link=LINK.format(version="secret"))
    commands: list[Any] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (commands.append(a), run(*a, **k))[1])
    base = os.environ["PIP_INDEX_URL"].replace("://", f"://user:{TOKEN}@")
    file = f"{base}made-up-link/made_up_link-1.0-py3-none-any.whl"
    assert version(loaded(folder, "made_up_link", f"made-up-link @ {file}")) == "secret"
    assert len(commands) == 1
    assert TOKEN not in str(commands)
    kept = [each.read_bytes() for each in folder.rglob("*") if each.is_file()]
    assert TOKEN not in str(kept)


def test_one_that_died_in_the_middle(folder: Path, index: Path) -> None:
    """What it left is no package, and is cleared away by the next."""
    left = folder / str(sys.implementation.cache_tag) / ".new-x" / "lib" / "made_up_link"
    left.mkdir(parents=True)
    (left / "__init__.py").touch()
    wheel(index, "made-up-link", "1.0", made_up_link=LINK.format(version="whole"))
    assert version(loaded(folder, "made_up_link")) == "whole"
    names = {each.name for each in left.parents[2].iterdir()} - {"__pycache__"}
    assert names == {".lock", "made_up_link.py", "made_up_link-1.0.dist-info"}


@pytest.mark.usefixtures("rooms")
def test_a_package_may_add_to_the_built_in_ones(folder: Path, index: Path) -> None:
    """Modules of a package that was installed while the process runs, by both of their names."""
    modules = {f"{room}__fancy": LINK.format(version=room) for room in ROOMS}
    wheel(index, "fancy-link", "1.0", **modules)
    assert version(loaded(folder, "server.links.fancy", "fancy-link")) == "links"
    for room in ROOMS:
        module = importlib.import_module(f"{room}.fancy")
        assert room == module.VERSION
        assert importlib.import_module(f"server.{room}.fancy") is module
    assert importlib.import_module("links.tag").run


def test_a_storage_that_is_only_read_from_is_not_installed(folder: Path, index: Path) -> None:
    """Nothing is installed while a vCon is processed."""
    wheel(index, "made-up-storage", "1.0", made_up_storage="def save(vcon_uuid, opts): ...\n")
    with pytest.raises(PluginFailedError, match="no module named 'made_up_storage'"):
        load_storage(StorageSpec("x", "made_up_storage", "made-up-storage"))
    storages = {"x": {"module": "made_up_storage", "pip_name": "made-up-storage"}}
    chains = {"main": {"storages": ["x"]}}
    config = parse({"storages": storages, "chains": chains}, {})
    assert load(config, Installer(folder)).storages
    assert load_storage(config.storages["x"]).save


def test_no_package_brings_a_second_redis(folder: Path, index: Path) -> None:
    """A package that is content with ours gets ours; one that is not is refused by name."""
    here = metadata.version("redis")
    wheel(index, "redis", "99.0", redis="")
    wheel(index, "content", "1.0", "redis", content=LINK.format(version="1"))
    wheel(index, "choosy", "1.0", "redis>=99", choosy=LINK.format(version="1"))
    loaded(folder, "content")
    assert not list(folder.glob("*/redis*"))
    problem = refused(folder, "choosy")
    assert "links.x: installing choosy failed: " in problem
    assert "choosy 1.0 depends on redis>=99" in problem
    assert f"redis=={here}" in problem
    assert problem.endswith("(wanted by chains.main)")


def test_a_failed_installation_is_reported_with_pips_output(folder: Path) -> None:
    """Nothing of that name, and a private repository whose token is wrong or unreachable."""
    assert "No matching distribution found for nowhere-to-be-found" in refused(
        folder, "nowhere_to_be_found", "nowhere-to-be-found"
    )
    problem = refused(folder, "private_link", f"git+http://x:{TOKEN}@127.0.0.1:1/u/r.git")
    assert "installing git+http://***@127.0.0.1:1/u/r.git failed: " in problem
    assert TOKEN not in problem
    assert problem.endswith("(wanted by chains.main)")


def test_needs_of_our_own_packages_that_are_left_out_are_not_brought(
    folder: Path, index: Path, asked: list[str]
) -> None:
    """A package that needs `vcon` gets ours, without `logger`; one that names it itself gets it."""
    wheel(index, "logger", "1.4", logger="WORD = 'there'\n")
    wheel(index, "made-up", "1.0", "vcon", made_up_link=LINK.format(version="1.0"))
    assert version(loaded(folder, "made_up_link", "made-up")) == "1.0"
    assert not [
        path for path in asked if path.endswith(("logger/", "mutagen/", "ffmpeg/", "vcon/"))
    ]
    wheel(index, "other", "1.0", "logger", other_link=LINK.format(version="1.0"))
    assert version(loaded(folder, "other_link", "other==1.0")) == "1.0"
    assert any(path.startswith("/logger/") for path in asked)


@pytest.mark.parametrize("module", ["links.tga", "link.tag", "postgress", "made_up_link"])
def test_nothing_is_installed_where_it_is_forbidden_or_mistyped(module: str, folder: Path) -> None:
    """A typo never reaches the index; nor does anything with DYNAMIC_INSTALL=false."""
    problem = refused(None if module == "made_up_link" else folder, module)
    assert f"no module named '{module}'" in problem
    assert not folder.exists()
    forbidden = "nothing is installed here (DYNAMIC_INSTALL)" in problem
    assert forbidden == (module == "made_up_link")


@pytest.mark.parametrize(
    ("environment", "value", "allowed", "exact"),
    [
        ("test", True, True, False),
        ("test", False, False, False),
        ("test", "any", True, False),
        ("development", True, True, False),
        ("production", True, True, True),
        ("production", False, False, True),
        ("production", "any", True, False),
    ],
)
def test_the_settings_decide_what_is_installed(
    tmp_path: Path,
    index: Path,
    asked: list[str],
    environment: str,
    value: bool | str,
    allowed: bool,
    exact: bool,
) -> None:
    """DYNAMIC_INSTALL and ENVIRONMENT reach what installs; what is refused is asked for nowhere."""
    settings = Settings.model_construct(
        modules_dir=tmp_path / "modules", dynamic_install=value, environment=environment
    )
    chosen = installer(settings)
    assert chosen.allowed == allowed
    wheel(index, "made-up", "1.0", made_up_link=LINK.format(version="1.0"))
    for pip_name, refused in (("made-up", exact or not allowed), ("made-up==1.0", not allowed)):
        link = {"module": "made_up_link", "pip_name": pip_name}
        config = parse({"links": {"x": link}, "chains": {"main": {"links": ["x"]}}}, {})
        asked.clear()
        problem = problem_of(config, chosen)
        assert bool(problem) == refused
        assert ("is not installed in production" in problem) == (
            exact and allowed and pip_name == "made-up"
        )
        assert not (refused and asked)


def problem_of(config: Any, chosen: Installer) -> str:
    """Why a configuration cannot be loaded; empty when it can."""
    try:
        load(config, chosen)
    except ConfigurationError as error:
        return "; ".join(error.problems)
    return ""


def test_a_package_without_a_pip_name_is_no_exact_one(folder: Path, asked: list[str]) -> None:
    """The name of a module alone is any version of the package of this name."""
    chains = {"main": {"links": ["x"]}}
    config = parse({"links": {"x": {"module": "made_up_link"}}, "chains": chains}, {})
    problem = problem_of(config, Installer(folder, exact=True))
    assert "made_up_link is not installed in production: write one version" in problem
    assert asked == []


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """The setting is named."""
    (tmp_path / "file").touch()
    assert "MODULES_DIR: Not a directory" in refused(tmp_path / "file", "made_up_link")


def test_eight_processes_install_once(folder: Path, index: Path, asked: list[str]) -> None:
    """All can import it, and the index was asked for it once."""
    wheel(index, "made-up-link", "1.0", made_up_link=LINK.format(version="1"))
    command = [sys.executable, "-c", EIGHT, str(folder)]
    for allowed in ("yes", ""):  # a restart finds it, also where nothing may be installed any more
        assert subprocess.run([*command, allowed], cwd=ROOT, check=False).returncode == 0
    assert [each for each in asked if each.endswith(".whl")] == [
        "/made-up-link/made_up_link-1.0-py3-none-any.whl"
    ]
