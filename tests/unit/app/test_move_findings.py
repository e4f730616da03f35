"""`check --vcon-server`: how findings are shown, and what the settings and the API mean here."""

import json

import pytest

from app.vcon_server.api import Tokens, keys_in, of_api
from app.vcon_server.findings import Finding, Level, as_json, as_text, may_move
from app.vcon_server.variables import VARIABLES, of_this_service, of_vcon_server
from core.settings import Settings


def clean(text: str) -> str:
    """Without one secret."""
    return text.replace("s3cret", "[redacted]")


FINDINGS = [
    Finding("redis", "ok", "JSON", "is there"),
    Finding("redis", "stop", "in\n\x1b[31m", "holds s3cret", "redis-cli RENAME in ..."),
    Finding("api", "warn", "token", "none"),
]


def test_the_text_has_the_most_severe_first_of_each_area() -> None:
    """Control characters of names in Redis cannot reach the terminal, nor secrets."""
    assert as_text(FINDINGS, clean).splitlines() == [
        "REDIS",
        "stop  in \\x1b[31m: holds [redacted]",
        "      -> redis-cli RENAME in ...",
        "ok    JSON: is there",
        "",
        "API",
        "warn  token: none",
        "",
        "1 stop, 1 warn, 0 note, 1 ok: mend each stop first",
    ]


def test_the_json_has_the_same() -> None:
    """With the counts, and whether anything stops the move."""
    told = json.loads(as_json(FINDINGS, clean))
    assert told["ok"] is False
    assert told["counts"] == {"stop": 1, "warn": 1, "note": 0, "ok": 1}
    assert told["findings"][0] == {
        "area": "redis",
        "level": "ok",
        "subject": "JSON",
        "differs": "is there",
        "remedy": "",
    }
    assert "s3cret" not in as_json(FINDINGS, clean)


def test_only_a_stop_keeps_from_moving() -> None:
    """A warning does not."""
    assert may_move([FINDINGS[0], FINDINGS[2]])
    assert not may_move(FINDINGS)


def test_the_variables_that_are_the_same_are_settings_here() -> None:
    """And the others with a meaning here are told which."""
    here = {name.upper() for name in Settings.model_fields} | {"GROQ_API_KEY"}
    assert {each.name for each in VARIABLES if each.verdict == "same"} <= here
    assert {each.name for each in VARIABLES if each.verdict == "not needed"}.isdisjoint(here)
    assert len({each.name for each in VARIABLES}) == len(VARIABLES)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("REDIS_URL", "ok"),
        ("VCON_REDIS_EXPIRY", "warn"),
        ("CONSERVER_START_METHOD", "note"),
        ("SENTRY_DSN", "warn"),
    ],
)
def test_a_variable_that_is_set(name: str, level: Level) -> None:
    """It is told what it means here, and never its value."""
    [finding] = of_vcon_server({name: "s3cret", "PATH": "/bin", "HOSTNAME": "box"})
    assert (finding.level, finding.subject) == (level, name)
    assert "s3cret" not in "".join(finding)


def test_what_is_missing_here() -> None:
    """Postgres and the pipeline stop the move; what only the Plugboard needs does not."""
    problems = ["POSTGRES_HOST: must be set", "POSTGRES_USER: must be set", "TOKEN: must be set"]
    found = {each.subject: each for each in of_this_service({}, problems)}
    assert {name: each.level for name, each in found.items()} == {
        "POSTGRES_HOST, POSTGRES_USER": "stop",
        "TOKEN": "note",
        "REDIS_URL": "stop",
        "CONSERVER_CONFIG_FILE": "stop",
        "ENVIRONMENT": "warn",
    }
    assert found["POSTGRES_HOST, POSTGRES_USER"].remedy == "POSTGRES_HOST=... POSTGRES_USER=..."


def test_a_value_that_is_refused_here() -> None:
    """As vcon-server's `0` workers."""
    environ = {"REDIS_URL": "redis://x", "CONSERVER_CONFIG_FILE": "c.yml", "ENVIRONMENT": "test"}
    problem = "CONSERVER_WORKERS: Input should be greater than or equal to 1"
    [finding] = of_this_service(environ, [problem])
    assert (finding.level, finding.subject) == ("stop", "CONSERVER_WORKERS")


DOCUMENT = {"ingress_auth": {"calls": ["one", {"key": "two"}], "sales": "three", "odd": 7}}


@pytest.mark.parametrize(
    ("tokens", "is_open", "level", "words"),
    [
        (Tokens(["a", "b"]), False, "ok", "as before: 2"),
        (Tokens(), False, "stop", "does not start"),
        (Tokens(), True, "warn", "every caller may use the API"),
        (Tokens(error="denied"), True, "stop", "denied"),
    ],
)
def test_tokens(tokens: Tokens, is_open: bool, level: Level, words: str) -> None:
    """Without one the API does not start here, unless it is to be open."""
    found = of_api({}, tokens, {}, is_open=is_open)[0]
    assert (found.level, found.subject) == (
        level,
        "CONSERVER_API_TOKEN, CONSERVER_API_TOKEN_FILE",
    )
    assert words in found.differs


def test_header_and_prefix() -> None:
    """As they are set; a prefix of `/` is none."""
    environ = {"CONSERVER_HEADER_NAME": "x-key", "API_ROOT_PATH": "/"}
    subjects = [each.subject for each in of_api(environ, Tokens(), {}, is_open=False)]
    assert {"header x-key", "prefix (none)"} <= set(subjects)


@pytest.mark.parametrize(
    ("environ", "tokens", "subjects"),
    [
        ({}, ["x" * 16], {"API_PORT"}),
        ({"API_PORT": "8001"}, ["x" * 16], set()),
        ({"API_PORT": "8001"}, ["x" * 15], {"CONSERVER_API_TOKEN, CONSERVER_API_TOKEN_FILE"}),
    ],
)
def test_a_port_and_tokens_that_are_told(
    environ: dict[str, str], tokens: list[str], subjects: set[str]
) -> None:
    """The port that vcon-server has as well, and tokens that can be guessed."""
    found = of_api(environ, Tokens(tokens), {}, is_open=False)
    always = {each.subject for each in of_api({"API_PORT": "1"}, Tokens(), {}, is_open=False)[1:]}
    assert {each.subject for each in found[1:]} - always == subjects


@pytest.mark.parametrize(("token", "shared"), [("two", True), ("three", True), ("four", False)])
def test_a_token_that_is_also_a_partners_key(token: str, shared: bool) -> None:
    """The partner could use the whole API with it."""
    found = of_api({}, Tokens([token]), DOCUMENT, is_open=False)
    assert any(each.subject.startswith("ingress_auth.") for each in found) is shared


def test_keys_in_any_form() -> None:
    """A text, a mapping, and a list of both; other values are no keys."""
    assert [keys_in(each) for each in DOCUMENT["ingress_auth"].values()] == [
        ["one", "two"],
        ["three"],
        [],
    ]
