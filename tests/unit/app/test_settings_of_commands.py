"""Which settings a command needs, and the tokens of the HTTP API."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.secrets.api_tokens import api_tokens
from core.secrets.files import MAX_FILE_BYTES
from core.settings import (
    ApiProcessSettings,
    ServiceSettings,
    Settings,
    WorkerProcessSettings,
    load_settings,
)
from tests.canaries import canary

DATABASE = {
    "POSTGRES_HOST": "localhost",
    "POSTGRES_PORT": "5432",
    "POSTGRES_USER": "service",
    "POSTGRES_PASSWORD": "passw0rd",
    "POSTGRES_DB_DEVELOPMENT": "dev",
    "POSTGRES_DB_TEST": "test",
    "POSTGRES_DB_PRODUCTION": "prod",
}
PLUGBOARD = {"WEBSOCKET_URL": "ws://localhost:4000/websocket", "TOKEN": "t0ken"}
PIPELINE = {"CONSERVER_CONFIG_FILE": "config.yml", "REDIS_URL": "redis://localhost:6379/0"}
TOKEN = canary("an-api-token-3f41")

type Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads the settings of a command from these variables."""

    def load_from(needed: type[Settings], **variables: str) -> Settings:
        monkeypatch.setattr(os, "environ", variables)
        return load_settings(needed)

    return load_from


def problems(load: Load, needed: type[Settings], **variables: str) -> list[str]:
    """The lines that an operator sees."""
    with pytest.raises(ConfigurationError) as raised:
        load(needed, **variables)
    return raised.value.problems


def test_the_api_needs_a_pipeline_and_no_plugboard(load: Load) -> None:
    """Its port is vcon-server's unless another one is set."""
    settings = load(ApiProcessSettings, **DATABASE, **PIPELINE)
    assert (settings.websocket_url, settings.token.get_secret_value()) == ("", "")
    assert settings.api_port == 8000
    assert load(ApiProcessSettings, **DATABASE, **PIPELINE, API_PORT="81").api_port == 81
    assert load(ServiceSettings, **DATABASE, **PLUGBOARD).api_port is None


@pytest.mark.parametrize("missing", [*DATABASE, *PIPELINE])
def test_what_the_api_misses_is_one_line(load: Load, missing: str) -> None:
    """The other half of the pipeline's settings is not told as well."""
    given = {name: value for name, value in (DATABASE | PIPELINE).items() if name != missing}
    assert problems(load, ApiProcessSettings, **given) == [f"{missing}: must be set"]


def test_the_service_still_needs_its_plugboard(load: Load) -> None:
    """A pipeline does not make up for it."""
    lines = problems(load, ServiceSettings, **DATABASE, **PIPELINE)
    assert lines == ["WEBSOCKET_URL: must be set", "TOKEN: must be set"]


def test_a_worker_needs_no_secret(load: Load) -> None:
    """Those of the service are withheld from it."""
    withheld = {name: text for name, text in DATABASE.items() if name != "POSTGRES_PASSWORD"}
    assert load(WorkerProcessSettings, **withheld, **PIPELINE).secrets == []


def with_file(load: Load, file: Path, **more: str) -> Settings:
    """The API's settings with this file of tokens."""
    given = DATABASE | PIPELINE | {"CONSERVER_API_TOKEN_FILE": str(file)} | more
    return load(ApiProcessSettings, **given)


@pytest.mark.parametrize(
    "content",
    [
        "one\ntwo words\n",
        "\ufeffone\r\n\r\ntwo words\r\n",
        "  one  \n \t\n\n\ttwo words",
        "one\none\ntwo words",
    ],
)
def test_each_line_of_the_file_is_a_token(load: Load, tmp_path: Path, content: str) -> None:
    """Blank lines and the white space around a token do not count."""
    (file := tmp_path / "tokens").write_bytes(content.encode())
    settings = with_file(load, file)
    assert api_tokens(settings) == {"one", "two words"}
    both = with_file(load, file, CONSERVER_API_TOKEN=f"{TOKEN}\n")
    assert api_tokens(both) == {"one", "two words", TOKEN}
    assert {"one", "two words", TOKEN} <= set(both.secrets)


def test_without_a_token_there_is_none(load: Load) -> None:
    """The start of the API decides whether it may be open."""
    assert api_tokens(load(ApiProcessSettings, **DATABASE, **PIPELINE)) == frozenset()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "has no token; write one on each line"),
        (b"\r\n \n\xef\xbb\xbf", "has a token with control characters"),
        (b"\xef\xbb\xbf \r\n", "has no token"),
        (f"{TOKEN}\xff".encode("latin-1"), "is no text in UTF-8"),
        (f"{TOKEN}\0".encode(), "has a token with control characters"),
        (f"{TOKEN}\rx".encode(), "has a token with control characters"),
        (b"x" * (MAX_FILE_BYTES + 1), f"is larger than {MAX_FILE_BYTES} bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    load: Load, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    """It names the file and no token; processes that serve no API start nevertheless."""
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    settings = with_file(load, file, CONSERVER_API_TOKEN=TOKEN)
    with pytest.raises(ConfigurationError) as raised:
        api_tokens(settings)
    [line] = raised.value.problems
    assert line.startswith(f"CONSERVER_API_TOKEN_FILE: {file} {complaint}")
    assert TOKEN not in line
    assert TOKEN in settings.secrets


def test_what_is_no_file_is_not_read(load: Load, tmp_path: Path) -> None:
    """A pipe would block the start for ever, and a device has no end."""
    os.mkfifo(pipe := tmp_path / "pipe")
    for path in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigurationError, match=f"{path} is no regular file"):
            api_tokens(with_file(load, path))


@pytest.mark.parametrize("token", [" ", "\n", "one\ntwo", "a\0b", "a\x7f"])
def test_a_token_that_no_header_can_hold_is_refused(load: Load, token: str) -> None:
    """In one line that does not repeat it."""
    given = DATABASE | PIPELINE | {"CONSERVER_API_TOKEN": token}
    complaint = "CONSERVER_API_TOKEN: must be one line without control characters"
    assert problems(load, ApiProcessSettings, **given) == [complaint]
