"""`docs/settings.md` says what the settings are."""

from core.settings import Settings
from devstack.pages.settings_page import PAGE, page


def test_the_page_is_current() -> None:
    """The page is what `python -m devstack.pages.settings_page` would write now."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_setting_is_on_it_once() -> None:
    """No variable is missing or listed twice, and each is described."""
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    names = [row.split("`")[1] for row in rows]
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)
    assert all(row.count("|") == 5 and not row.endswith("|  |") for row in rows)
