"""The tokens that open the HTTP API, of CONSERVER_API_TOKEN and CONSERVER_API_TOKEN_FILE.

Neither an error nor a log line repeats a token.
"""

from collections.abc import Iterable, Iterator

from core.errors import ConfigurationError
from core.secrets.files import secret_lines
from core.setting_groups.api import ApiSettings
from schemas.ingress_key import SHORTEST_KEY

FILE = "CONSERVER_API_TOKEN_FILE"


def api_tokens(settings: ApiSettings) -> frozenset[str]:
    """Read the tokens: one a line, without the white space around it; blank lines are none.

    Used by the process that serves the API, by `check`, and by `Settings.secrets` for the redactor.

    Raises:
        ConfigurationError: the file is missing, unreadable, empty, too large or no text.
    """
    token, file = settings.conserver_api_token, settings.conserver_api_token_file
    tokens = {token.get_secret_value()} if token else set()
    return frozenset(tokens.union(secret_lines(FILE, file, "token")) if file else tokens)


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
