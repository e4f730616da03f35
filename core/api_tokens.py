"""The tokens that open the HTTP API, of CONSERVER_API_TOKEN and CONSERVER_API_TOKEN_FILE.

Neither an error nor a log line repeats a token.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from core.errors import ConfigurationError
from core.setting_groups import ApiSettings
from schemas.ingress_key import SHORTEST_KEY

FILE = "CONSERVER_API_TOKEN_FILE"
MAX_FILE_BYTES = 65_536
"""Some thousand tokens: each is compared with that of a request, and searched in each log line."""


def api_tokens(settings: ApiSettings) -> frozenset[str]:
    """Read the tokens: one a line, without the white space around it; blank lines are none.

    Used by the process that serves the API, by `check`, and by `Settings.secrets` for the redactor.

    Raises:
        ConfigurationError: the file is missing, unreadable, empty, too large or no text.
    """
    token, file = settings.conserver_api_token, settings.conserver_api_token_file
    tokens = {token.get_secret_value()} if token else set()
    return frozenset(tokens.union(_tokens_of(file)) if file else tokens)


def _tokens_of(file: Path) -> list[str]:
    tokens = [line.strip() for line in _text_of(file).split("\n")]
    tokens = [token for token in tokens if token]
    if not tokens:
        raise ConfigurationError([f"{FILE}: {file} has no token; write one on each line"])
    if not all(token.isprintable() for token in tokens):
        raise ConfigurationError([f"{FILE}: {file} has a token with control characters"])
    return tokens


def _text_of(file: Path) -> str:
    try:
        if not file.is_file():  # a pipe would block, and a device may have no end
            file.stat()
            raise ConfigurationError([f"{FILE}: {file} is no regular file"])
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigurationError([f"{FILE}: {file} is larger than {MAX_FILE_BYTES} bytes"])
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError([f"{FILE}: {file} cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{FILE}: {file} is no text in UTF-8"]) from None


def guessable(tokens: Iterable[str]) -> Iterator[str]:
    """A note on tokens that can be tried out, if there are such."""
    if short := sum(len(token) < SHORTEST_KEY for token in tokens):
        yield f"tokens with fewer than {SHORTEST_KEY} characters, which can be guessed: {short}"


def secret_tokens(settings: ApiSettings) -> Iterator[str]:
    """The tokens that can be read; a process that serves no API starts without its file."""
    try:
        yield from api_tokens(settings)
    except ConfigurationError:
        if settings.conserver_api_token:
            yield settings.conserver_api_token.get_secret_value()
