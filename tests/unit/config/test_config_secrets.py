"""Which values that variables have brought into the configuration are kept out of logs."""

import pytest

from pipeline.config.environment import Filled, secret_values


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("VENDOR_KEY", "api_key", "k3y-of-a-vendor"),
        ("POSTGRES_PASSWORD", "password", "pass"),
        ("OPAQUE", "password", "pass"),
        ("OPAQUE", "given", "a1-b2-c3"),
    ],
)
def test_a_secret(name: str, key: str, value: str) -> None:
    """By the name of the variable or of the option, or because nothing says that it is none."""
    assert list(secret_values([Filled(name, key, value)])) == [value]


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("POSTGRES_DB_DEVELOPMENT", "url", "patchcord_development"),
        ("POSTGRES_USER", "given", "patch_cord"),
        ("VCON_SORTED_SET_NAME", "given", "all_vcons"),
        ("PGHOST", "host", "db-1.example.com"),
        ("ANY", "table", "vcons_2"),
        ("PLAIN", "given", "word"),
        ("PLAIN", "given", "15.5"),
    ],
)
def test_no_secret(name: str, key: str, value: str) -> None:
    """Such a word would be blotted out wherever it stands, as the database's name in `check`."""
    assert list(secret_values([Filled(name, key, value)])) == []


def test_of_a_url_what_lets_in() -> None:
    """The password and long parts of the path; the host and the user say where and who."""
    url = "https://me:pa55@example.com/hooks/T0123456789abcdefghij?x=1"
    assert list(secret_values([Filled("HOOK", "url", url)])) == ["pa55", "T0123456789abcdefghij"]
