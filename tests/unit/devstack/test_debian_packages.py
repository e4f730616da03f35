"""What is fetched for a program that no Python package contains."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.servers import debian, programs
from devstack.servers.debian import Packages

DEPENDS = """\
browser
  Depends: libc6
  Depends: libnew1
 |Depends: <virtual>
  Depends: libthere2
  Depends: browser-data
"""
PLAN = """\
Inst libdeep3 (1.0 Debian:13/stable [amd64])
Inst libnew1 (1.0 Debian:13/stable [amd64]) []
Inst libc6 [2.36] (2.37 Debian:13/stable [amd64])
Conf libnew1 (1.0 Debian:13/stable [amd64])
"""
APT = """\
#!/bin/sh
echo "$@" >> {log}
case "$*" in *--simulate*) cat {folder}/plan;; *depends*) cat {folder}/depends;; esac
"""


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what apt was told; it prints what apt 2.6 printed."""
    (tmp_path / "plan").write_text(PLAN)
    (tmp_path / "depends").write_text(DEPENDS)
    for name in ("apt-get", "apt-cache", "dpkg-deb"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(APT.format(log=tmp_path / "orders", folder=tmp_path))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(debian, "CHECKOUT", tmp_path)
    return tmp_path / "orders"


def downloaded(orders: Path) -> list[str]:
    """The packages that apt was told to download."""
    line = next(each for each in orders.read_text().splitlines() if " download " in each)
    return line.split(" download ")[1].split()


def test_the_libraries_that_the_machine_lacks_are_fetched(orders: Path) -> None:
    """With what they need themselves, but not the C library."""
    names = ("browser", "browser-data")
    packages = Packages("browser", Path("usr/bin/no-such-browser"), names, linked="browser")
    with pytest.raises(FileNotFoundError):  # nothing was unpacked
        packages.fetch()
    simulated = next(each for each in orders.read_text().splitlines() if "--simulate" in each)
    assert simulated.split("--no-upgrade ")[1] == "libc6 libnew1 libthere2"
    assert downloaded(orders) == ["browser", "browser-data", "libdeep3", "libnew1"]


def test_only_what_is_named_is_fetched_otherwise(orders: Path) -> None:
    """For a program whose few libraries are among the packages."""
    with pytest.raises(FileNotFoundError):
        Packages("server", Path("usr/sbin/no-such-server"), ("server", "libaio1")).fetch()
    assert downloaded(orders) == ["server", "libaio1"]
    assert "--simulate" not in orders.read_text()


def test_every_program_of_debian_is_fetched_by_one_command() -> None:
    """`make test` runs it."""
    folder = Path(programs.__file__).parent
    unpacked = {
        path.stem for path in folder.glob("*.py") if "PACKAGES = Packages(" in path.read_text()
    }
    named = {program.__name__.rpartition(".") for program in programs.PROGRAMS}
    assert {name for folder, _, name in named if folder == "devstack.servers"} == unpacked
