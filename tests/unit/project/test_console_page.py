"""docs/console.md shows pictures that a test has made."""

from __future__ import annotations

import re

from tests.unit.support.source_files import ROOT

PAGE = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")
PICTURES = ROOT / "docs" / "images" / "console"
WRITTEN = ROOT / "tests" / "integration" / "console" / "test_console_in_browser.py"
MOST_BYTES = 200_000
_PICTURE = re.compile(r"!\[[^\]]{20,}\]\(images/console/([a-z-]+\.png)\)")


def test_each_picture_is_there_and_is_shown() -> None:
    """With a text in its place; small, and made by the test in the browser."""
    shown = _PICTURE.findall(PAGE)
    made = {
        f"{name}.png" for name in re.findall(r'picture\(page, "([a-z-]+)"', WRITTEN.read_text())
    }
    assert set(shown) == {path.name for path in PICTURES.iterdir()} == made
    for path in PICTURES.iterdir():
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(content) < MOST_BYTES
