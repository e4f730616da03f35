"""What `make new-link` and its like make works, and keeps to the rules of the house."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.scaffold import FILES, Name, ScaffoldError, describe, main, scaffold
from devstack.testing import PluginBench, sample_vcon
from pipeline.config.parser import parse
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import load
from tests.integration.support.package_index import release
from tests.plugins.scene import tags

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")
MADE = {"link": "WordCount", "storage": "line-file", "action": "get_subject"}
RULES = [
    "tests/unit/project/test_operations_docs.py",
    "tests/unit/actions/test_actions_published.py",
]
ALONE = ("--follow-imports=skip", "--allow-subclassing-any")  # else all that they import is checked
CEILING = 180


def run(folder: Path, *command: str) -> str:
    """What a module of Python's writes that is run in a folder; fails with it."""
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=CEILING,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_link_a_storage_and_an_action(tmp_path: Path) -> None:
    """In a checkout, their tests pass, and so do the linter, the types and the rules."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
    (checkout / "links" / "analyze.py").write_text("import a_vendors_library_that_is_missing\n")
    written = [p for kind, name in MADE.items() for p in scaffold(kind, Name.of(name), checkout)]
    describe("action", Name.of(MADE["action"]), checkout)
    describe("link", Name.of(MADE["link"]), checkout)
    paths = [str(path.relative_to(checkout)) for path in written]
    modules = [path for path in paths if not path.startswith("tests")]
    assert modules == ["links/word_count.py", "storage/line_file.py", "actions/get_subject.py"]
    run(checkout, "ruff", "check", *paths)
    run(checkout, "ruff", "format", "--check", *paths)
    run(checkout, "mypy", *ALONE, *modules)
    pages = checkout / "docs" / "plugins"
    before = (ROOT / "docs" / "plugins" / "README.md").read_text().splitlines()
    after = (pages / "README.md").read_text().splitlines()
    [added] = [line for line in after if line not in before]
    assert added.startswith("| [`links.word_count`]")
    assert after[after.index(added) - 1].startswith("| [`links.whisper_builtin`]")
    assert [line for line in after if line != added] == before
    assert "`analysis_type`" in (pages / "links.word_count.md").read_text()
    run(checkout, "pytest", "-p", "no:cacheprovider", *set(paths).difference(modules), *RULES)


def test_a_package_of_its_own(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tests pass where it stands; released in git, it is installed by `pip_name` and runs."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip reads this as: without isolation
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    assert main(["external", "shiny-link", "--into", str(tmp_path)]) == 0
    package = tmp_path / "shiny-link"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # so that it is tried by the rules, too
    assert "3 passed" in run(package, "pytest", "-p", "no:cacheprovider")
    release(package, "v0.1.0")
    link = {"module": "shiny_link", "pip_name": f"git+file://{package}@v0.1.0"}
    config = parse({"links": {"x": link}, "chains": {"main": {"links": ["x"]}}}, {})
    load(config, Installer(tmp_path / "modules"))
    with PluginBench(redis_url) as bench:
        outcome = bench.run_link("shiny_link", sample_vcon(), {"tag": "x"})
    assert outcome.vcon is not None
    assert tags(outcome.vcon) == ["x:x"]
    del sys.modules["shiny_link"]


def test_the_next_step_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with a space in the folder's name, and where the environment is empty.

    The package's tests run all three, and none of what they run comes from another interpreter.
    """
    folder = tmp_path / "a folder"
    assert main(["external", "shiny-link", "--into", str(folder)]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    command = line.removeprefix("next: ")
    ran = subprocess.run(
        ["/bin/sh", "-c", f"{command} -p no:cacheprovider"],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=CEILING,
    )
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_rules_are_tried_by_the_checkouts_python(tmp_path: Path) -> None:
    """Also where the package is tested by another one, which has nothing of the host."""
    scaffold("external", Name.of("shiny-link"), tmp_path)
    package, checkout = tmp_path / "shiny-link", tmp_path / "checkout"
    kit, python = checkout / "devstack" / "conformance", checkout / ".venv" / "bin" / "python"
    kit.mkdir(parents=True)
    (kit / "__init__.py").touch()
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$PYTHONPATH: $@" > "{tmp_path}/asked"\n')
    python.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=package, env=environment, check=True, capture_output=True)
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:4] == [f"{checkout}:", "-m", "devstack.conformance", "shiny_link"]


@pytest.mark.parametrize("name", ["", "2nd", "a.b", "../x", "class", "ä"])
def test_what_is_no_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with an example."""
    assert main(["link", name]) == 2
    assert capsys.readouterr().err == (
        f"NAME={name!r}: letters, digits and underscores, such as NAME=word_count\n"
    )


@pytest.mark.parametrize("kind", FILES)
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    """All files or none: what is there stays."""
    first, *others = scaffold(kind, Name.of("mine"), tmp_path)
    for path in others:
        path.unlink()
    first.write_text("precious")
    with pytest.raises(ScaffoldError, match="is there already"):
        scaffold(kind, Name.of("mine"), tmp_path)
    assert first.read_text() == "precious"
    assert not any(path.exists() for path in others)
