"""What never gets into a log line, however it was written."""

from typing import Any

import pytest

from core.observability.redaction import REDACTED, Redactor
from tests.canaries import canary

SECRET = canary("Zq3-very.Secret_9x")


@pytest.fixture
def redactor() -> Redactor:
    """One that has been told nothing."""
    return Redactor()


@pytest.mark.parametrize(
    "text",
    [
        f"GET /socket/websocket?token={SECRET}&actions=%7B%7D&vsn=2.0.0 HTTP/1.1",
        f"https://host/path?a=1&api_key={SECRET}",
        f"https://host/path?X-Amz-Signature={SECRET}&b",
        f"redis://user:{SECRET}@host:6379/0",
        f"redis://:{SECRET}@host:6379/0",
        f"postgresql+psycopg://u:{SECRET}@x@host/db",
        f'{{"token": "{SECRET}", "a": 1}}',
        f'{{"event": "{{\\"password\\": \\"{SECRET}\\"}}"}}',
        f"{{'OPENAI_API_KEY': '{SECRET}'}}",
        f"aws_secret_access_key={SECRET}",
        f"host=x password={SECRET} user=y",
        f"password: {SECRET}",
        f"client_secret : {SECRET},",
        f'password="it \\" goes on {SECRET}"',
        f'token="{SECRET}',
        f"Authorization: Bearer {SECRET}",
        f'headers={{"authorization": "Basic {SECRET}"}}',
        f"x-conserver-api-token: {SECRET}",
        f"sent Bearer {SECRET}",
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\\n{SECRET}",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, redactor: Redactor) -> None:
    """An unknown secret is found by its place in the text."""
    hidden = redactor.text(text)
    assert SECRET not in hidden
    assert REDACTED in hidden
    assert redactor.text(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "the token is wrong, deleted or expired",
        "token_id=17 max_tokens: 500 token_count=3",
        "key=main idempotency_key=x list=in",
        "password: None, token: null, secret=''",
        "https://host:8080/path?a=1&b=2",
        "mailto:ann@example.com name:ann",
        "2026-11-25T12:00:00Z the Plugboard refused the connection (403)",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str, redactor: Redactor) -> None:
    """Lines stay readable."""
    assert redactor.text(text) == text


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("s3cret/with+signs", "s3cret/with+signs"),
        ("s3cret/with+signs", "s3cret%2Fwith%2Bsigns"),
        ('s3cret"quote', '{"a": "s3cret\\"quote"}'),
        ("s3crét\n", "'s3crét\\n'"),
        ("s3cret", "xs3cretx"),
    ],
)
def test_a_known_secret_is_hidden_wherever_it_is(
    secret: str, written: str, redactor: Redactor
) -> None:
    """In any words, and as it is written in URLs, JSON and Python."""
    assert redactor.text(written) == written
    redactor.learn([secret])
    assert "s3cr" not in redactor.text(written)


def test_of_two_known_secrets_the_longer_goes_first(redactor: Redactor) -> None:
    """One that contains another leaves no rest."""
    redactor.learn(["abcdef"])
    redactor.learn(["abcdefghi"])
    assert redactor.text("abcdefghi") == REDACTED


def test_short_words_are_no_secrets(redactor: Redactor) -> None:
    """A password like `x` would blot out half of each line."""
    redactor.learn(["x", "", "short"])
    assert redactor.text("a short x-ray") == "a short x-ray"


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({"token": SECRET, "run": 7}, {"token": REDACTED, "run": 7}),
        ({"a": {"DB_PASSWORD": SECRET}}, {"a": {"DB_PASSWORD": REDACTED}}),
        ({"a": [{"secret": 5}, "x"]}, {"a": [{"secret": REDACTED}, "x"]}),
        ({"token": None}, {"token": None}),
        ({"token_id": 17, "key": "main"}, {"token_id": 17, "key": "main"}),
        ({"a": {1: {"token": SECRET}}}, {"a": {1: {"token": REDACTED}}}),
    ],
)
def test_a_fields_name_tells_whether_it_is_secret(
    fields: dict[str, Any], hidden: dict[str, Any], redactor: Redactor
) -> None:
    """Also inside of other fields."""
    assert redactor.fields(fields) == hidden


def test_a_fields_name_may_be_made_secret(redactor: Redactor) -> None:
    """Wherever it stands, and under no other name."""
    redactor.learn_names(["pin"])
    fields = {"pin": "1", "a": [{"pin": 2, "pins": 3}]}
    assert redactor.fields(fields) == {"pin": REDACTED, "a": [{"pin": REDACTED, "pins": 3}]}


def test_fields_without_end_are_followed_for_a_while(redactor: Redactor) -> None:
    """A structure that contains itself is no error."""
    endless: dict[str, Any] = {"token": SECRET}
    endless["again"] = endless
    assert redactor.fields(endless)["again"]["token"] == REDACTED


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": SECRET},
        {"deep": [{"client_secret": SECRET}]},
        {"tokens": "x", "token": [SECRET]},
        {"url": f"amqp://user:{SECRET}@host"},
        {"urls": [f"https://:{SECRET}@host/path"]},
    ],
)
def test_secrets_are_learnt_from_options(options: dict[str, Any], redactor: Redactor) -> None:
    """Where the configuration says that something is secret, it is so everywhere."""
    redactor.learn_from(options | {"name": "innocent"})
    assert redactor.text(f"innocent {SECRET}") == f"innocent {REDACTED}"


@pytest.mark.parametrize("piece", ["a", "token", "://", '"token": "', "bearer ", '\\"', "secret='"])
def test_a_long_text_takes_no_longer_than_its_length(piece: str, redactor: Redactor) -> None:
    """A megabyte of anything is searched in the time of a megabyte: this test would hang."""
    redactor.text(piece * (1_000_000 // len(piece)))
