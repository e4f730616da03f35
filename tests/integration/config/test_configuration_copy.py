"""The copy of the last valid configuration file, which workers read."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline import live_config
from pipeline.live_config import Configuration, Snapshot

GOOD = "chains: {main: {ingress_lists: [in]}}\n"
OTHER = "chains: {main: {ingress_lists: [in, second]}}\n"
BAD = "chains: {main: {ingress_lists: [in], links: [nowhere]}}\n"


def test_the_copy_is_what_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while it is read is read again: nothing unchecked is copied."""
    path = tmp_path / "config.yml"
    path.write_text(GOOD)
    really, texts = live_config.load, [OTHER]

    def load(*arguments: Any, **options: Any) -> Configuration:
        loaded = really(*arguments, **options)
        if texts:
            path.write_text(texts.pop())
        return loaded

    monkeypatch.setattr(live_config, "load", load)
    snapshot = Snapshot(path, {})
    assert snapshot.load().config.ingress_lists == ("in", "second")
    assert (snapshot.path.read_text(), snapshot.outdated) == (OTHER, False)
    snapshot.close()


def test_an_invalid_file_at_start_is_not_copied(tmp_path: Path, monkeypatch: Any) -> None:
    """It is refused, and no copy is made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (path := tmp_path / "config.yml").write_text(BAD)
    snapshot = Snapshot(path, {})
    with pytest.raises(ConfigurationError):
        snapshot.load()
    snapshot.close()
    assert list(tmp_path.iterdir()) == [path]


def test_the_copy_is_for_this_user_only(tmp_path: Path) -> None:
    """It may contain passwords; it is removed when the snapshot is closed."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    snapshot = Snapshot(path, {})
    snapshot.load()
    copy = snapshot.path
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    snapshot.close()
    assert not copy.parent.exists()


def test_a_deleted_copy_is_written_again(tmp_path: Path) -> None:
    """Also when the original is invalid by now: the copy is of the last valid one."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    snapshot = Snapshot(path, {})
    snapshot.load()
    snapshot.path.unlink()
    snapshot.path.parent.rmdir()
    path.write_text(BAD)
    snapshot.restore()
    assert snapshot.path.read_text() == GOOD
    assert stat.S_IMODE(snapshot.path.parent.stat().st_mode) == 0o700
    snapshot.close()


def test_a_copy_that_cannot_be_made(tmp_path: Path) -> None:
    """A failed copy is a `ConfigurationError`."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    snapshot = Snapshot(path, {})
    snapshot.load()
    folder = snapshot.path.parent
    snapshot.path.unlink()
    folder.rmdir()
    folder.touch()  # a file in its place
    with pytest.raises(ConfigurationError, match="cannot be copied"):
        snapshot.load()
    snapshot.restore()
    folder.unlink()
    snapshot.close()
