"""Several modules that are missing are installed with one call of pip."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from core.observability.redaction import KNOWN
from pipeline.config.parser import parse
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import Plugins, load
from pipeline.plugins.requirement import read
from tests.canaries import canary
from tests.integration.support.package_index import LINK, serving, wheel

NAMES = [f"made-up-{number}" for number in range(3)]


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index of our own with the packages, and no traces of what was installed from it."""
    packages = tmp_path / "index"
    before, path = set(sys.modules), sys.path.copy()
    with serving(packages, []) as url:
        for name in NAMES:
            source = {name.replace("-", "_"): LINK.format(version="1")}
            wheel(packages, name, "1.0", **source)
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        yield packages
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def loaded(tmp_path: Path, names: list[str], **options: Any) -> Plugins:
    """Load one chain with a link of each package, in version 1.0."""
    links = {name: {"module": name.replace("-", "_"), "pip_name": f"{name}==1.0"} for name in names}
    chains = {"main": {"links": list(links)}}
    return load(parse({"links": links, "chains": chains}, {}), Installer(tmp_path / "m", **options))


def calls(caplog: pytest.LogCaptureFixture) -> int:
    """How often pip was called."""
    return [record.message for record in caplog.records].count("installing module")


def test_one_call_of_pip_installs_all_that_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And none is needed when they are there."""
    caplog.set_level(logging.INFO)
    assert len(loaded(tmp_path, NAMES[:1], exact=True).links) == 1
    assert len(loaded(tmp_path, NAMES, exact=True).links) == 3
    assert calls(caplog) == 2  # the first alone, the others together
    for name in NAMES:
        del sys.modules[name.replace("-", "_")]
    assert len(loaded(tmp_path, NAMES).links) == 3
    assert calls(caplog) == 2


def test_one_that_cannot_be_installed_does_not_keep_the_others_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are installed one by one then, and only that one is an error."""
    caplog.set_level(logging.INFO)
    with pytest.raises(ConfigurationError) as problems:
        loaded(tmp_path, [*NAMES[:2], "made-up-nothing"])
    [problem] = problems.value.problems
    assert "made-up-nothing==1.0" in problem
    assert NAMES[0] not in problem
    assert "modules not installed together" in [record.message for record in caplog.records]
    assert len(loaded(tmp_path, NAMES[:2]).links) == 2
    assert calls(caplog) == 4  # together, and each of three


def test_where_nothing_may_be_installed_nothing_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is an error of its own."""
    caplog.set_level(logging.INFO)
    with pytest.raises(ConfigurationError) as problems:
        loaded(tmp_path, NAMES, allowed=False)
    assert len(problems.value.problems) == 3
    assert calls(caplog) == 0


def test_credentials_in_addresses_are_not_logged(tmp_path: Path) -> None:
    """Of a file, which pip gets with its address; those of a repository keep it out of the call."""
    secret = canary("password-of-the-index-c1be")
    files = [f"{name} @ https://me:{secret}@nowhere.invalid/{name}.whl" for name in NAMES]
    Installer(tmp_path / "m").install_together([*map(read, files)], lambda _: True)
    assert KNOWN.text(f"found {secret}") == "found [redacted]"
