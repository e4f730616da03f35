"""Which modules of a configuration are there, without importing them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config.parser import PluginSpec
from pipeline.operator.trial.checking import _state, is_present

FAILING = "raise RuntimeError('imported')"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package on the path that cannot be imported; its name."""
    (folder := tmp_path / "failing_package").mkdir()
    (folder / "__init__.py").write_text(FAILING)
    (folder / "link.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_a_module_is_found_without_an_import(package: str) -> None:
    """Also one inside a package; one that is not in it is not found."""
    assert is_present(package)
    assert is_present(f"{package}.link")
    assert not is_present(f"{package}.other")
    assert not is_present(f"{package}.link.inner")
    assert package not in sys.modules


@pytest.mark.parametrize("name", ["links.tag", "server.links.tag", "lib.vcon_redis", "sys"])
def test_own_modules_are_found(name: str) -> None:
    """Also under the names of vcon-server."""
    assert is_present(name)


@pytest.mark.parametrize("name", ["", ".", "a..b", "links.", "links.nothing", "\x00", "x" * 5000])
def test_names_that_are_none(name: str) -> None:
    """Nothing is raised for them."""
    assert not is_present(name)


@pytest.mark.parametrize(
    ("pip_name", "state", "detail"),
    [
        (f"PyYAML=={yaml.__version__}", "present", ""),
        ("PyYAML==1.0", "other version", f"==1.0 is asked for, {yaml.__version__} is installed"),
        ("git+https://user:secret@git.example.com/x.git", "present", ""),
        ("no name at all", "present", ""),
        (None, "present", ""),
    ],
)
def test_the_version_that_is_there(pip_name: str | None, state: str, detail: str) -> None:
    """Compared with the configured one; a token is not shown."""
    found = _state(PluginSpec("x", "yaml", pip_name), ["links.x"], {"dynamic_install": True})
    assert (found.state, found.detail) == (state, detail)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("pip_name", "settings", "detail"),
    [
        ("x", {"dynamic_install": True}, ""),
        ("x", {"dynamic_install": "any", "environment": "production"}, ""),
        ("x==1", {"dynamic_install": True, "environment": "production"}, ""),
        (
            "x",
            {"dynamic_install": True, "environment": "production"},
            "not installed in production: write one version, name==1.2.3",
        ),
        ("x", {"dynamic_install": False}, "nothing is installed here (DYNAMIC_INSTALL)"),
        (None, {"dynamic_install": False}, "nothing is installed here (DYNAMIC_INSTALL)"),
    ],
)
def test_what_is_not_there_is_installed_or_missing(
    pip_name: str | None, settings: dict[str, object], detail: str
) -> None:
    """By the settings of the service."""
    found = _state(PluginSpec("x", "surely_not_there", pip_name), ["links.x"], settings)
    assert found.detail == detail
    assert found.state == ("missing" if detail else "would be installed")
