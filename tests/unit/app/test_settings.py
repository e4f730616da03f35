"""What the environment may say, and what is said about it when it is wrong."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.misspelt_settings import misspelt
from core.environment import environment, read_env_file
from core.errors import ConfigurationError
from core.settings import DatabaseSettings, ServiceSettings, Settings, load_settings
from tests.unit.support.source_files import ROOT

REQUIRED = {
    "WEBSOCKET_URL": "ws://localhost:4000/websocket",
    "TOKEN": "t0ken",
    "POSTGRES_HOST": "localhost",
    "POSTGRES_PORT": "5432",
    "POSTGRES_USER": "service",
    "POSTGRES_PASSWORD": "passw0rd",
    "POSTGRES_DB_DEVELOPMENT": "dev",
    "POSTGRES_DB_TEST": "test",
    "POSTGRES_DB_PRODUCTION": "prod",
}
PIPELINE = {"CONSERVER_CONFIG_FILE": "config.yml", "REDIS_URL": "redis://:pa55@localhost:6379/0"}

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads settings from an environment of the required variables and these; None unsets one."""

    def load_from(**variables: str | None) -> Settings:
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in (REQUIRED | variables).items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return load_settings(ServiceSettings)

    return load_from


def problems(load: Load, **variables: str | None) -> list[str]:
    """The lines that an operator sees."""
    with pytest.raises(ConfigurationError) as raised:
        load(**variables)
    return raised.value.problems


def test_the_documented_variables_are_enough(load: Load) -> None:
    """With the documented variables alone the service is a pure RPC service in `test`."""
    settings = load()
    assert settings.environment == "test"
    assert settings.postgres_database == "test"
    assert not settings.has_pipeline
    assert settings.actions == ()


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_one_line(name: str, value: str | None, load: Load) -> None:
    """A required variable that is unset, or set to nothing, is named."""
    assert problems(load, **{name: value}) == [f"{name}: must be set"]


def test_all_that_is_missing_is_told_at_once(load: Load) -> None:
    """An empty environment gives one line for each required variable."""
    lines = problems(load, **dict.fromkeys(REQUIRED))
    assert sorted(lines) == sorted(f"{name}: must be set" for name in REQUIRED)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("ENVIRONMENT", "staging", "Input should be 'development', 'test' or 'production'"),
        (
            "POSTGRES_PORT",
            "x",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        ("POSTGRES_PORT", "70000", "Input should be less than or equal to 65535"),
        ("WEBSOCKET_URL", "http://localhost", "must begin with ws:// or wss://"),
        (
            "WEBSOCKET_URL",
            "ws://:4000/websocket",
            "must name a host and, if any, a port number up to 65535",
        ),
        (
            "WEBSOCKET_URL",
            "ws://localhost:4000x/websocket",
            "must name a host and, if any, a port number up to 65535",
        ),
        (
            "WEBSOCKET_URL",
            "ws://localhost:99999/websocket",
            "must name a host and, if any, a port number up to 65535",
        ),
        (
            "WEBSOCKET_URL",
            "ws://localhost/websocket#top",
            "must not hold a #; in a password write %23",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            "must begin with http:// or https:// and name a host",
        ),
        ("REPLY_FORMAT", "json", "Input should be 'auto', 'vera' or 'message'"),
        ("MAX_CONCURRENCY", "0", "Input should be greater than or equal to 1"),
        ("ACTION_TIMEOUT", "0", "Input should be greater than 0"),
        ("ACTION_TIMEOUT", "nan", "Input should be greater than 0"),
        ("ACTION_TIMEOUT", "30.5", "must not be above 30: the Plugboard has answered 408 by then"),
        ("ACTION_TIMEOUT", "inf", "must not be above 30: the Plugboard has answered 408 by then"),
        ("TOKEN", "one two", "must be one word"),
        ("TOKEN", "one\ntwo", "must be one word"),
        ("TOKEN", " \t", "must be one word"),
        ("RECONNECT_MIN", "60", None),
        ("RECONNECT_MAX", "0.5", "must not be less than RECONNECT_MIN"),
        (
            "MIGRATE_ON_START",
            "perhaps",
            "Input should be a valid boolean, unable to interpret input",
        ),
    ],
)
def test_a_wrong_variable_is_one_line(
    name: str, value: str, complaint: str | None, load: Load
) -> None:
    """A variable that cannot be right is named with what was expected."""
    expected = f"{name}: {complaint}" if complaint else "RECONNECT_MAX: must not be less than"
    [line] = problems(load, **{name: value})
    assert line.startswith(expected)


@pytest.mark.parametrize("token", ["a-token\n", " a-token", "\ta-token\r\n"])
def test_white_space_around_a_token_or_url_is_no_part_of_it(token: str, load: Load) -> None:
    """A file or a paste often ends with a new line."""
    settings = load(TOKEN=token, WEBSOCKET_URL=f" {REQUIRED['WEBSOCKET_URL']}\n")
    assert settings.token.get_secret_value() == "a-token"
    assert "a-token" in settings.secrets
    assert settings.websocket_url == REQUIRED["WEBSOCKET_URL"]


@pytest.mark.parametrize(("seconds", "allowed"), [("30", ""), ("31", "true"), ("3600", "true")])
def test_an_action_may_take_longer_than_the_plugboard_waits_if_allowed(
    seconds: str, allowed: str, load: Load
) -> None:
    """Up to the Plugboard's 30 s by itself."""
    settings = load(ACTION_TIMEOUT=seconds, ALLOW_LONG_ACTIONS=allowed)
    assert settings.action_timeout == float(seconds)


def test_every_mistake_is_told_at_once(load: Load) -> None:
    """Two wrong variables and a missing one are three lines."""
    lines = problems(load, TOKEN=None, POSTGRES_PORT="x", LOG_LEVEL="loud")
    assert [line.split(":")[0] for line in lines] == ["POSTGRES_PORT", "TOKEN", "LOG_LEVEL"]


@pytest.mark.parametrize("missing", PIPELINE)
def test_the_pipelines_variables_go_together(missing: str, load: Load) -> None:
    """One of the two alone is a mistake, whichever it is."""
    lines = problems(load, **(PIPELINE | {missing: None}))
    assert lines == [
        "REDIS_URL: goes together with CONSERVER_CONFIG_FILE: set both for a pipeline, or neither"
    ]


def test_with_both_there_is_a_pipeline(load: Load) -> None:
    """Configuration file and Redis make the chain wing."""
    settings = load(**PIPELINE)
    assert settings.has_pipeline
    assert settings.conserver_config_file == Path("config.yml")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", ()),
        ("GetRun", ("GetRun",)),
        ("GetRun,RunChain", ("GetRun", "RunChain")),
        (" GetRun , RunChain ,, ", ("GetRun", "RunChain")),
        (",", ()),
    ],
)
def test_actions_are_split_at_commas(value: str, names: tuple[str, ...], load: Load) -> None:
    """ACTIONS is a list of names; blanks and empty places do not count."""
    assert load(ACTIONS=value).actions == names


@pytest.mark.parametrize(
    ("value", "read"),
    [
        *[("true", True), ("ON", True), ("1", True), ("off", False), ("false", False)],
        *[("0", False), ("any", "any"), (" Any", "any"), (None, True)],
    ],
)
def test_dynamic_install_is_a_switch_or_any(value: str | None, read: object, load: Load) -> None:
    """Every spelling of a switch holds still; production takes exact ones unless `any`."""
    settings = load(DYNAMIC_INSTALL=value, ENVIRONMENT="production")
    assert settings.dynamic_install == read
    assert settings.exact_installs == (read != "any")
    assert not load(DYNAMIC_INSTALL=value, ENVIRONMENT="development").exact_installs


def test_dynamic_install_is_nothing_else(load: Load) -> None:
    """One line, with what may stand there."""
    wrong = ["DYNAMIC_INSTALL: must be true, false or any"]
    assert problems(load, DYNAMIC_INSTALL="some") == wrong


def test_a_log_level_may_be_small(load: Load) -> None:
    """`debug` is DEBUG."""
    assert load(LOG_LEVEL="debug").log_level == "DEBUG"


@pytest.mark.parametrize(
    ("name", "database"), [("development", "dev"), ("test", "test"), ("production", "prod")]
)
def test_the_environment_chooses_the_database(name: str, database: str, load: Load) -> None:
    """ENVIRONMENT says which of the three databases is used."""
    assert load(ENVIRONMENT=name).postgres_database == database


def test_secrets_do_not_show(load: Load) -> None:
    """Token, passwords and URLs with passwords are hidden when settings are printed."""
    settings = load(**PIPELINE)
    shown = f"{settings!r} {settings} {settings.model_dump_json()}"
    assert not [secret for secret in ("t0ken", "passw0rd", "pa55") if secret in shown]


def test_secrets_are_known_to_be_secret(load: Load) -> None:
    """Token and passwords, decoded; a password that is a mere name would blot out that name."""
    settings = load(REDIS_URL="redis://:p%40ss@h", CONSERVER_CONFIG_FILE="x")
    assert sorted(settings.secrets) == ["p@ss", "passw0rd", "t0ken"]
    assert load(POSTGRES_PASSWORD="service").secrets == ["t0ken"]


@pytest.mark.parametrize(
    ("given", "level"),
    [("warn", "WARNING"), ("WARN ", "WARNING"), ("critical", "ERROR"), ("NOTSET", "DEBUG")],
)
def test_pythons_other_names_of_levels(load: Load, given: str, level: str) -> None:
    """They are taken for the nearest of the four."""
    assert load(LOG_LEVEL=given).log_level == level


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENV_FILE", raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return tmp_path


def test_variables_are_read_from_a_file(folder: Path) -> None:
    """From `.env`; what the environment sets goes first, even where it is set to nothing."""
    read_env_file()
    os.environ["PC_SET"], os.environ["PC_EMPTY"] = "environment", ""
    text = "\ufeffPC_SET=file\nPC_EMPTY=file\n# a comment\nexport PC_NEW='two words' # and more\n"
    (folder / ".env").write_text(text, encoding="utf-8")
    read_env_file()
    assert [os.environ[name] for name in ("PC_SET", "PC_EMPTY", "PC_NEW")] == [
        "environment",
        "",
        "two words",
    ]


def test_another_file_may_be_named(folder: Path) -> None:
    """Or none; one that is named must be there, and any must be text."""
    (folder / ".env").write_text("PC_A=1")
    (folder / "other").write_text("PC_B=2")
    os.environ["ENV_FILE"] = ""
    read_env_file()
    assert "PC_A" not in os.environ
    os.environ["ENV_FILE"] = "other"
    read_env_file()
    assert os.environ["PC_B"] == "2"
    (folder / "other").write_bytes(b"PC_C=\xff")
    for name in ("missing", "other"):
        os.environ["ENV_FILE"] = name
        with pytest.raises(ConfigurationError, match="ENV_FILE: cannot be read"):
            read_env_file()


def test_the_example_of_the_file_is_a_whole_configuration(folder: Path) -> None:
    """Copied and with a token in it, the service has all it needs."""
    (folder / ".env").write_text((ROOT / ".env.example").read_text())
    os.environ.clear()
    read_env_file()
    settings = load_settings(ServiceSettings)
    assert settings.has_pipeline
    assert misspelt(os.environ) == []
    named = set(re.findall(r"\$\{(\w+)", (ROOT / "samples/config.yml").read_text()))
    assert named - {"vcon", "result"} <= set(os.environ)


def test_keys_in_otlp_headers_are_secret(load: Load) -> None:
    """Their values, not their names."""
    assert load(OTEL_EXPORTER_OTLP_HEADERS="dd-api-key=abcdef, x = y").otlp_header_values == [
        "abcdef",
        "y",
    ]


def test_settings_cannot_be_changed(load: Load) -> None:
    """What was read at the start holds until the end."""
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.token = "other"  # type: ignore[assignment, misc]


def test_the_database_needs_its_own_variables_only(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Alembic command line works without a Plugboard."""
    load()
    monkeypatch.delenv("WEBSOCKET_URL")
    monkeypatch.delenv("TOKEN")
    assert DatabaseSettings().postgres_database == "test"


def test_the_environment_is_handed_out_as_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who fills `${NAME}` from it cannot change the process's own."""
    monkeypatch.setenv("SOME_NAME", "x")
    variables = environment()
    variables["SOME_NAME"] = "y"
    assert environment()["SOME_NAME"] == "x"
