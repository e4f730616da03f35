"""Real packages made for a test: wheels on an index over HTTP, and a git repository."""

from __future__ import annotations

import subprocess
import zipfile
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.canaries import canary

OPENS = "Basic " + b64encode(f"token:{canary('ghp-token-of-a-test-842d')}".encode()).decode()
"""What a private repository wants to hear."""
LINK = "VERSION = {version!r}\ndef run(vcon_uuid, link_name, opts):\n    return vcon_uuid\n"
BACKEND = '''
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    """A wheel with one module, without any tool for it."""
    name = "repo_link-1.0-py3-none-any.whl"
    about = "repo_link-1.0.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.write("repo_link.py")
        head = "Metadata-Version: 2.1\\nName: repo-link\\nVersion: 1.0\\n"
        wheel.writestr(f"{about}/METADATA", head)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nTag: py3-none-any\\n")
        wheel.writestr(f"{about}/RECORD", "")
    return name
'''
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def wheel(index: Path, name: str, version: str, *needs: str, **modules: str) -> None:
    """Put a wheel onto the index; modules are given as `package__module="source"`."""
    distribution = name.replace("-", "_")
    about = f"{distribution}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {f"{path.replace('__', '/')}.py": text for path, text in modules.items()}
    files[f"{about}/METADATA"] = head + "".join(f"Requires-Dist: {each}\n" for each in needs)
    files[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: x\nTag: py3-none-any\n"
    lines = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,", ""])
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{distribution}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def _digest(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *arguments: Any, **more: Any) -> None:
        self._asked = asked
        super().__init__(*arguments, **more)

    def do_GET(self) -> None:
        """Files, of which those of a private repository want a token."""
        self._asked.append(self.path)
        if self.path.startswith("/private") and self.headers.get("Authorization") != OPENS:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(index: Path, asked: list[str]) -> Iterator[str]:
    """Serve a folder of packages as an index; its URL. What it is asked for is added to `asked`."""
    index.mkdir(exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, asked, directory=str(index)))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def repository(folder: Path) -> str:
    """A git repository with a link in versions `v1` and `v2`; its URL for pip."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    for tag in ("v1", "v2"):
        (folder / "repo_link.py").write_text(LINK.format(version=tag))
        release(folder, tag)
    return f"git+file://{folder}"


def release(folder: Path, tag: str) -> None:
    """Commit all of a folder and tag it, as authors do."""
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", tag)
    _git(folder, "tag", tag)
    _git(folder, "update-server-info")  # it may be served as files


def branch(folder: Path, name: str, tag: str) -> None:
    """Begin a branch where a tag is."""
    _git(folder, "branch", name, tag)


def commit(folder: Path, tag: str) -> str:
    """The beginning of the commit that a tag stands for."""
    command = ["git", "rev-parse", "--short=12", f"{tag}^{{commit}}"]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def _git(folder: Path, *words: str) -> None:
    who = (
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.com",
        "-c",
        "commit.gpgsign=false",
    )
    subprocess.run(["git", *who, *words], cwd=folder, check=True)
