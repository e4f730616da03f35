"""What `pip_name` asks for is what runs after a restart: packages of MODULES_DIR are replaced."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.parser import PipelineConfig, parse
from pipeline.plugins import modules_folder
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import load
from pipeline.plugins.modules_folder import hashed, site_packages
from pipeline.plugins.requirement import read
from tests.integration.support.package_index import LINK, repository, serving, wheel

LINKED = ("made_up_link", "other_link", "repo_link", "needed_by_it")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """MODULES_DIR, below which this Python has its own folder."""
    (tmp_path / "modules" / str(sys.implementation.cache_tag)).mkdir(parents=True)
    return tmp_path / "modules"


@pytest.fixture
def asked() -> list[str]:
    """The paths that the index was asked for."""
    return []


@pytest.fixture(autouse=True)
def index(tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index of our own, and no traces of what was imported."""
    path = sys.path.copy()
    with serving(tmp_path / "index", asked) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        yield tmp_path / "index"
    sys.path[:] = path
    forget()


def forget() -> None:
    """Have modules imported anew, as after a restart."""
    for name in [each for each in sys.modules if each.partition(".")[0] in LINKED]:
        del sys.modules[name]


def made_up(index: Path, number: str, *needs: str, **more: str) -> None:
    """A version of the made-up link on the index."""
    wheel(index, "made-up", number, *needs, made_up_link=LINK.format(version=number), **more)


def there(folder: Path, index: Path, name: str, number: str, pip_name: str | None) -> Path:
    """Put a package where an earlier start has put it for `pip_name`; its metadata's folder."""
    base = f"{name.replace('-', '_')}-{number}"
    place = folder / str(sys.implementation.cache_tag)
    with zipfile.ZipFile(index / name / f"{base}-py3-none-any.whl") as archive:
        archive.extractall(place)
    about = place / f"{base}.dist-info"
    if pip_name is not None:
        (about / "patchcord_specification").write_text(hashed(read(pip_name)))
    return about


def config(module: str, pip_name: str) -> PipelineConfig:
    """A configuration whose only chain has one link."""
    links = {"x": {"module": module, "pip_name": pip_name}}
    return parse({"links": links, "chains": {"main": {"links": ["x"]}}}, {})


def restarted(folder: Path, pip_name: str, module: str = "made_up_link", **options: Any) -> Any:
    """The version of a link that a process runs which is started with this specification."""
    forget()
    load(config(module, pip_name), Installer(folder, **options))
    return sys.modules[module].VERSION


def packages(folder: Path) -> list[str]:
    """The packages in the folder."""
    return sorted(each.name for each in folder.glob("*/*.dist-info*"))


def test_another_version_is_what_runs_after_a_restart(
    folder: Path, index: Path, asked: list[str]
) -> None:
    """With needs that the old one had not; its files are gone; the next start does nothing."""
    for number in ("1.0", "2.0"):
        wheel(index, "needed-by-it", number, needed_by_it=f"WORD = {number!r}\n")
    made_up(index, "1.0", "needed-by-it==1.0", only__deep__in_it="")
    made_up(index, "2.0", "needed-by-it>=2.0")
    there(folder, index, "made-up", "1.0", "made-up==1.0")
    there(folder, index, "needed-by-it", "1.0", None)
    wheel(index, "stays", "1.0", "needed-by-it<3", stays="")
    there(folder, index, "stays", "1.0", "stays")
    wheel(index, "needed-by-it", "3.0", needed_by_it="")
    assert restarted(folder, "made-up==1.0") == "1.0"
    assert restarted(folder, "made-up") == "2.0"
    assert packages(folder) == [
        f"{each}.dist-info" for each in ("made_up-2.0", "needed_by_it-2.0", "stays-1.0")
    ]
    assert not list(folder.glob("*/only"))
    made_up(index, "3.0")
    asked.clear()
    assert restarted(folder, "made-up") == "2.0"
    assert asked == []


def test_another_revision_is_what_runs_after_a_restart(folder: Path, tmp_path: Path) -> None:
    """Also where both call themselves version 1.0."""
    url = repository(tmp_path / "repo")
    wheel(tmp_path / "index", "repo-link", "1.0", repo_link=LINK.format(version="v1"))
    about = there(folder, tmp_path / "index", "repo-link", "1.0", f"{url}@v1")
    origin = {"url": url, "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "1"}}
    (about / "direct_url.json").write_text(json.dumps(origin))
    assert restarted(folder, f"{url}@v1", "repo_link") == "v1"
    assert restarted(folder, f"{url}@v2", "repo_link") == "v2"


def test_another_package_with_the_module(folder: Path, index: Path, asked: list[str]) -> None:
    """The one that was there goes, so that the next start has nothing to do."""
    made_up(index, "1.0", made_up_tool="")
    wheel(index, "made-up-fork", "0.1", made_up_link=LINK.format(version="fork"))
    there(folder, index, "made-up", "1.0", "made-up")
    assert restarted(folder, "made-up-fork") == "fork"
    asked.clear()
    assert restarted(folder, "made-up-fork") == "fork"
    assert (packages(folder), asked) == (["made_up_fork-0.1.dist-info"], [])
    assert not list(folder.glob("*/made_up_tool.py"))


def test_two_links_of_one_package(folder: Path, index: Path, asked: list[str]) -> None:
    """Each with its own words for it: the one that fits both stays."""
    for number in ("1.0", "2.0"):
        made_up(index, number, other_link="")
    there(folder, index, "made-up", "1.0", "made-up==1.0")
    pinned = {"module": "made_up_link", "pip_name": "made-up==1.0"}
    imports = {"a": pinned, "b": {"module": "other_link", "pip_name": "made-up"}}
    load(parse({"imports": imports}, {}), Installer(folder))
    assert (sys.modules["made_up_link"].VERSION, asked) == ("1.0", [])


def test_where_nothing_is_replaced(
    folder: Path, index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With MODULES_UPGRADE=false what is there stays, and the log says that it is not asked for."""
    made_up(index, "1.0")
    there(folder, index, "made-up", "1.0", "made-up==1.0")
    for forbidden in ({"upgrade": False}, {"allowed": False}):
        caplog.clear()
        assert restarted(folder, "made-up==2.0", **forbidden) == "1.0"
        [warning] = [each for each in caplog.records if each.levelname == "WARNING"]
        assert warning.getMessage() == "module in another version"


def test_a_version_that_cannot_be_had(
    folder: Path, index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An error where what is there does not fit, else a warning; what is there stays whole."""
    made_up(index, "1.0")
    there(folder, index, "made-up", "1.0", "made-up==1.0")
    (index / "made-up" / "made_up-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ConfigurationError, match=r"installing made-up==3.0 failed"):
        restarted(folder, "made-up==3.0")
    assert restarted(folder, "made-up>=1.0") == "1.0"
    [warning] = [each for each in caplog.records if each.levelname == "WARNING"]
    assert warning.getMessage() == "module not upgraded"
    assert packages(folder) == ["made_up-1.0.dist-info"]


def test_what_an_older_release_installed(folder: Path, index: Path, asked: list[str]) -> None:
    """It is not known for what: it stays where it fits."""
    made_up(index, "1.0")
    there(folder, index, "made-up", "1.0", None)
    assert (restarted(folder, "made-up<2"), asked) == ("1.0", [])


def test_one_that_died_while_it_replaced_another(
    folder: Path, index: Path, asked: list[str]
) -> None:
    """What it had hidden from pip is seen again."""
    made_up(index, "1.0")
    about = there(folder, index, "made-up", "1.0", "made-up")
    about.rename(about.with_name(f"{about.name}.replaced"))
    assert (restarted(folder, "made-up"), asked) == ("1.0", [])
    assert packages(folder) == ["made_up-1.0.dist-info"]


def test_another_token_is_no_other_specification() -> None:
    """Nor is the token in what is kept."""
    one, two = (read(f"git+https://x:{token}@example.com/r.git@v1") for token in ("a", "b"))
    assert hashed(one) == hashed(two) != hashed(read("git+https://example.com/r.git@v2"))
    assert hashed(read("made-up --pre")) != hashed(read("made-up"))


@pytest.mark.parametrize(
    "place", ["lib/python3.12/site-packages", "local/lib/python3.12/dist-packages", "lib64/x"]
)
def test_where_pip_puts_packages(tmp_path: Path, place: str) -> None:
    """On any system: Debian's own Python has folders of its own."""
    (tmp_path / place / "it-1.0.dist-info").mkdir(parents=True)
    assert site_packages(tmp_path) == [tmp_path / place]


def test_the_packages_of_this_python_are_looked_through_once(
    folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each module: that takes a second where there are hundreds."""
    modules_folder.packages_elsewhere.cache_clear()
    modules_folder._packages.cache_clear()
    looked: list[bool] = []
    really = metadata.packages_distributions
    monkeypatch.setattr(
        metadata, "packages_distributions", lambda: (looked.append(True), really())[1]
    )
    made_up(index, "1.0")
    there(folder, index, "made-up", "1.0", "made-up")
    imports = {name: name for name in ("yaml", "packaging", "orjson", "pytest", "made_up_link")}
    for _ in range(2):
        load(parse({"imports": imports}, {}), Installer(folder))
    assert looked == [True]
