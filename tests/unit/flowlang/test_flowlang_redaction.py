"""What no message and no output of a flow shows."""

import pytest

from flowlang.redaction import REDACTED, Secrets, names_a_secret
from tests.canaries import canary

SECRET = canary("Zq3-very.Secret_9x")


def test_secrets_are_known_by_schema_name_and_url() -> None:
    """Also quoted as in a URL; what is no secret stays."""
    secrets = Secrets()
    schema = {"properties": {"pin": {"format": "password"}, "deep": {"properties": {}}}}
    config = {
        "pin": 774411,
        "host": "db.example",
        "deep": {"db_password": "p@ss word"},
        "list": ["amqp://u:fl%40wers@h"],
    }
    secrets.learn_from(config, schema)
    text = "774411 at db.example, p@ss word, p%40ss%20word, fl@wers, x://who:ever@db.example/y"
    assert secrets.text(text) == (
        "[redacted] at db.example, [redacted], [redacted], [redacted], x://[redacted]@db.example/y"
    )


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://user:secr#et12345@db.example/crm", "secr#et12345"),
        ("redis://user:it's2345@db.example:6379/0", "it's2345"),
        ("redis://:5/slashed@db.example", "5/slashed"),
        ("amqp://user:p@ssed/on?@db.example", "p@ssed/on?"),
        (f"https://db.example/path?a=1&password={SECRET}", SECRET),
        (f"https://db.example/path?X-Signature={SECRET}#b", SECRET),
    ],
)
def test_a_password_in_a_url_is_known_however_it_is_written(url: str, password: str) -> None:
    """Also one that should have been quoted; a text is clean of it whether or not it is known.

    A quote ends an address in a text, so a password with one must be known.
    """
    learned = Secrets()
    learned.learn_from({"endpoint": url}, {})
    assert learned.text(f"wrong: {password}") == f"wrong: {REDACTED}"
    for secrets in (learned, Secrets()) if "'" not in url else (learned,):
        text = secrets.text(f"no way to {url}, because")
        assert REDACTED in text
        assert "db.example" in text
        assert not any(part in text for part in (password, "et12345", "slashed", "ssed", "s2345"))


def test_what_a_driver_takes_for_a_port_is_a_part_of_the_password() -> None:
    """A `#` that was not quoted ends the host: libraries quote what is before it."""
    secrets = Secrets()
    secrets.learn_from("redis://user:secr#et12345@db.example", {})
    assert secrets.text("Port could not be cast: 'secr'") == f"Port could not be cast: '{REDACTED}'"


@pytest.mark.parametrize("text", ["http://db.example:8080/a?b=c", "a@b.example", "x://h/p, a@b"])
def test_what_has_no_password_stays(text: str) -> None:
    """Addresses are what messages are about."""
    assert Secrets().text(text) == text


@pytest.mark.parametrize(
    "name",
    ["secret_key", "STRIPE_SECRET_KEY", "passwords", "tokens", "clientSecret", "apiKey", "app-key"],
)
def test_names_of_secrets(name: str) -> None:
    """As the service itself knows them, one or many."""
    assert names_a_secret(name)
    secrets = Secrets()
    secrets.learn_from({name: [SECRET]}, {})
    assert secrets.text(SECRET) == REDACTED


def test_how_many_there_are_is_no_secret() -> None:
    """`max_tokens` is a limit."""
    secrets = Secrets()
    secrets.learn_from({"max_tokens": 4096, "key_id": "abcdefgh"}, {})
    assert secrets.text("at most 4096 of abcdefgh") == "at most 4096 of abcdefgh"
