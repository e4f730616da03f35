"""The guide for connection plugins, followed as a reader would, with nothing changed.

Its files lie in `tests/data/connection_guide` letter by letter. Only the client library of
`myservice` is ours: a stub with an `AsyncClient`.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "tests" / "data" / "connection_guide"
CLIENT = '''
"""A client that keeps what it is given."""

class AsyncClient:
    def __init__(self, api_key, base_url, timeout):
        self.kept = {"/resources/42": {"id": 42, "key": api_key[:3]}}

    async def ping(self):
        print("ping", file=__import__("sys").stderr)

    async def close(self):
        print("closed", file=__import__("sys").stderr)

    async def get(self, path):
        return self.kept[path]

    async def post(self, path, json):
        self.kept["/resources/7"] = json
        return {"id": "7", "path": path, **json}
'''


class Reader:
    """A user with an empty folder and a shell."""

    def __init__(self, home: Path, python: str, paths: Mapping[str, Path]) -> None:
        self.home = home
        self._python = python
        self._environment = {
            **os.environ,
            "MYSERVICE_API_KEY": "sk_test",
            "PYTHONDONTWRITEBYTECODE": "1",
            **{name: str(path) for name, path in paths.items()},
        }

    def runs(self, *words: str, code: int = 0) -> str:
        """What a command of Python printed."""
        ran = subprocess.run(
            [self._python, "-m", *words],
            cwd=self.home,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        self.said = ran.stderr
        return ran.stdout

    def follows_the_five_test_sections(self) -> None:
        """The section `Testing Your Plugin`, one after the other."""
        assert "myservice (v1.0.0)\n    MyService API connection" in self.runs(
            "flowlang", "connection", "list"
        )
        info = self.runs("flowlang", "connection", "info", "myservice")
        assert "  * api_key: string" in info
        assert "myservice-client>=1.0.0: installed" in info
        deps = self.runs("flowlang", "connection", "deps", "myservice", "--check")
        assert "httpx>=0.24.0: installed" in deps
        scaffold = self.runs("flowlang", "connection", "scaffold", "myservice", "--name", "api")
        assert "  api:\n    type: myservice\n    api_key: ${env.MYSERVICE_API_KEY}" in scaffold
        written = self.runs("flowlang", "connection", "example", "myservice")
        assert "Generated: ./myservice_example.yaml" in written
        told = self.runs("flowlang", "run", "myservice_example.yaml", "--input", "item_name=hat")
        assert json.loads(told) == {
            "success": True,
            "outputs": {"item_id": "7", "item_data": {"name": "hat", "active": True}},
        }
        shutil.copy(GUIDE / "flow.yaml", self.home / "flow.yaml")
        told = self.runs("flowlang", "run", "flow.yaml", "--input", "test_id=42")
        expected = {"success": True, "outputs": {"result": {"id": 42, "key": "sk_"}}}
        assert json.loads(told) == expected
        assert self.said.split() == ["ping", "closed"]


def test_a_plugin_folder_is_made_and_tried(tmp_path: Path) -> None:
    """In the package's own folder, as the guide has it, and in a folder of one's own."""
    for folder in ("src", "client", "home"):
        (tmp_path / folder).mkdir()
    shutil.copytree(
        ROOT / "flowlang", tmp_path / "src/flowlang", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "client" / "myservice.py").write_text(CLIENT)
    plugin = tmp_path / "src/flowlang/connections/myservice"
    plugin.mkdir()
    for file in ("__init__.py", "provider.py"):
        shutil.copy(GUIDE / file, plugin / file)
    path = Path(f"{tmp_path / 'src'}{os.pathsep}{tmp_path / 'client'}")
    Reader(tmp_path / "home", sys.executable, {"PYTHONPATH": path}).follows_the_five_test_sections()

    (tmp_path / "plugins").mkdir()
    plugin.rename(tmp_path / "plugins" / "myservice")
    paths = {"PYTHONPATH": path, "FLOWLANG_PLUGIN_PATH": tmp_path / "plugins"}
    elsewhere = Reader(tmp_path / "home", sys.executable, paths)
    told = elsewhere.runs("flowlang", "run", "flow.yaml", "--input", "test_id=42")
    assert json.loads(told)["success"] is True
    (tmp_path / "client" / "myservice.py").unlink()
    needed = elsewhere.runs("flowlang", "connection", "deps", "myservice", "--check", code=1)
    assert "myservice-client>=1.0.0: NOT INSTALLED" in needed


def test_a_distribution_with_an_entry_point_is_installed_and_found(tmp_path: Path) -> None:
    """Built with the guide's `setup.py`, installed by pip with what it requires."""
    wheels = tmp_path / "wheels"
    package = tmp_path / "flowlang-myservice"
    (package / "flowlang_myservice").mkdir(parents=True)
    shutil.copy(GUIDE / "setup.py", package)
    for file in ("__init__.py", "provider.py"):
        shutil.copy(GUIDE / file, package / "flowlang_myservice" / file)
    client = tmp_path / "client"
    client.mkdir()
    (client / "myservice.py").write_text(CLIENT)
    (client / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(name='myservice-client', version='1.2', py_modules=['myservice'])\n"
    )
    ours = shutil.copytree(ROOT / "flowlang", tmp_path / "flowlang")
    wheels.mkdir()
    for folder in (package, client, ours):
        _build(folder, wheels)
    assert {"setup.py", "flowlang_myservice/provider.py"} <= _files_of_the_sdist(package)
    python = _environment(tmp_path / "env")
    reader = Reader(tmp_path, python, {"PYTHONPATH": tmp_path / "nowhere"})
    shutil.rmtree(ours)
    reader.runs(
        *("pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"),
        *("--find-links", str(wheels), "flowlang-myservice"),
    )
    reader.follows_the_five_test_sections()
    assert "Generated: " in reader.runs("flowlang", "connection", "example", "sqlite")
    reader.runs("flowlang", "connection", "new", "acme")


def _build(folder: Path, wheels: Path) -> None:
    """Both kinds of distribution, as the guide has it; what is installed is the wheel."""
    command = [sys.executable, "setup.py", "sdist", "bdist_wheel"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    wheel.rename(wheels / wheel.name)


def _files_of_the_sdist(folder: Path) -> set[str]:
    (archive,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}


def _environment(folder: Path) -> str:
    """A Python of its own, which also sees the libraries of this one, and not this checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(folder / "bin" / "python")
