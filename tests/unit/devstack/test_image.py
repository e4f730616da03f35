"""`make image`: which program builds, with which arguments, and what is said without one."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.version import VERSION
from devstack.supply.image import BUILDERS, Source, arguments, choice, command, source
from tests.unit.support.source_files import ROOT

RELEASE = Source("1.2.3", "abc1234", changed=False, seconds=1_700_000_000)
PROGRAM = """#!{python}
import sys
if sys.argv[1] in ("info", "--version"):
    sys.exit({works})
print("built:", *sys.argv[1:])
sys.exit({code})
"""


def program(folder: Path, name: str, *, works: bool = True, code: int = 0) -> None:
    """A program of this name that tells its arguments."""
    file = folder / name
    file.write_text(PROGRAM.format(python=sys.executable, works=int(not works), code=code))
    file.chmod(stat.S_IRWXU)


def build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Build with the programs of a folder, and git."""
    return subprocess.run(
        [sys.executable, "-m", "devstack.supply.image", *words],
        cwd=ROOT,
        env={**os.environ, "PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_one_that_works_is_chosen() -> None:
    """Docker without its daemon is as good as none."""
    assert choice(dict.fromkeys(BUILDERS, True)) == "docker"
    assert choice({"docker": False, "podman": False, "buildah": True}) == "buildah"
    assert choice({}) is None


def test_tags_say_which_version_and_commit_it_is() -> None:
    """Files that differ from the commit never get the tag of the version."""
    assert RELEASE.tags("x/y") == ["x/y:1.2.3", "x/y:1.2.3-abc1234"]
    changed = Source("1.2.3", "abc1234", changed=True, seconds=0)
    assert changed.tags("y") == ["y:1.2.3-abc1234-changed"]
    assert Source("1.2.3", "", changed=False, seconds=0).tags("y") == ["y:1.2.3"]
    assert source().version == VERSION


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_time_of_the_files_is_that_of_the_commit(builder: str) -> None:
    """Each builder is told so in its own words."""
    words = " ".join(command(builder, RELEASE, "patchcord", "s3"))
    assert words.startswith(f"{builder} build --tag patchcord:1.2.3 --tag patchcord:1.2.3-abc1234")
    assert words.endswith("--build-arg EXTRAS=s3 .")
    assert "1700000000" in words


def test_a_builder_is_run_and_its_exit_code_returned(tmp_path: Path) -> None:
    """A broken docker is passed over."""
    program(tmp_path, "docker", works=False)
    program(tmp_path, "podman")
    done = build(tmp_path, "--name", "registry.example.com:5000/patchcord")
    assert done.returncode == 0, done.stderr
    assert f"built: build --tag registry.example.com:5000/patchcord:{VERSION}" in done.stdout
    program(tmp_path, "podman", code=7)
    assert build(tmp_path).returncode == 7


def test_without_a_builder_it_says_what_to_install(tmp_path: Path) -> None:
    """CI goes on; `make image` fails."""
    done = build(tmp_path)
    assert (done.returncode, "install podman or buildah" in done.stderr) == (1, True)
    assert build(tmp_path, "--if-possible").returncode == 0
    program(tmp_path, "docker", works=False)
    assert "docker cannot build here" in build(tmp_path).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "--privileged"],
        ["--name", "a b"],
        ["--name", "Upper"],
        ["--name", ""],
        ["--extras", "../../etc/passwd"],
        ["--extras", "openai,nothing"],
        ["--extras", "openai;id"],
    ],
)
def test_arguments_that_are_no_names_are_refused(words: list[str]) -> None:
    """They become arguments of another program, and text of a shell in the image."""
    with pytest.raises(SystemExit):
        arguments(words)


def test_the_image_has_bytecode_in_it() -> None:
    """Its root is read-only at run time; the form of the bytecode has no time in it."""
    text = (ROOT / "Dockerfile").read_text()
    assert "PYTHONDONTWRITEBYTECODE=1" in text
    assert len(re.findall(r"\$COMPILE /(?:usr/local/lib|app)\b", text)) == 3
    assert text.count("pip install --no-cache-dir --no-compile") == text.count("pip install") == 2
    assert "--invalidation-mode unchecked-hash" in text
    assert text.index("$COMPILE /app") > text.rindex("\nCOPY ")
