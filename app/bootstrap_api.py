"""Builds the API process: a pipeline, and the server of the HTTP API. It needs no Plugboard.

`app.bootstrap` serves the same API in the service process if API_PORT is set.
"""

import logging
from collections.abc import Iterator

from starlette.types import ASGIApp

from app.pipeline_host import PipelineHost, RequestSource
from app.signals import LINGER, StopSignals, end_within
from core.errors import ConfigurationError
from core.observability.logs import keep_secret
from core.secrets.api_tokens import api_tokens, guessable
from core.secrets.console_passwords import ConsolePasswords, console_passwords
from core.settings import Settings
from http_api.application import Application
from http_api.serving.connections import ServerLimits
from http_api.serving.server import ApiServer
from pipeline.live_config import until_still
from pipeline.runs.factories import config_path
from schemas.ingress_key import SHORTEST_KEY

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
UNPROTECTED = (
    "CONSERVER_API_TOKEN: must be set, or CONSERVER_API_TOKEN_FILE; "
    "API_OPEN=true serves the HTTP API without a token"
)


async def serve_api(settings: Settings, worker_count: int) -> int:
    """Serve the HTTP API until SIGTERM or SIGINT, and return the exit code.

    The process ends `LINGER` s later even if a plugin's thread still runs.

    Raises:
        ConfigurationError: when it cannot start as configured.
    """
    await until_still(config_path(settings))
    await ApiProcess(settings, worker_count).run(StopSignals())
    end_within(LINGER, EXIT_STOPPED)
    return EXIT_STOPPED


class ApiProcess:
    """The parts of one API process."""

    def __init__(self, settings: Settings, worker_count: int) -> None:
        """Build all parts without connecting to anything; listens, but accepts no connection.

        Raises:
            ConfigurationError: with all problems.
        """
        tokens_to_serve(settings)  # before anything that takes time
        passwords_to_serve(settings)
        self._host = PipelineHost(settings, worker_count)
        self._api = api_source(settings, self._host)
        self._host.listen()

    async def run(self, signals: StopSignals) -> None:
        """Serve until a stop signal."""
        try:
            await self._host.run(signals, [self._api])
        finally:
            await self._host.close()


def api_source(settings: Settings, host: PipelineHost) -> RequestSource:
    """The HTTP API of a process, on API_PORT; connections are accepted when it runs.

    Raises:
        ConfigurationError: no pipeline, no token, or the port is in use.
    """
    tokens = tokens_to_serve(settings)
    assert host.pipeline is not None
    passwords = passwords_to_serve(settings)
    # the files may have changed since the settings were read
    keep_secret(*tokens, *passwords.operators, *passwords.readers)
    if not tokens:
        log.warning("HTTP API asks for no token")
    application = Application(host.pipeline.service, settings, tokens, passwords)
    server = listening(settings, application)
    return RequestSource(server.run, server.stop)


def listening(settings: Settings, application: ASGIApp) -> ApiServer:
    """The server on API_PORT.

    Raises:
        ConfigurationError: the port is in use.
    """
    limits = ServerLimits.of(settings)
    return ApiServer(application, settings.api_host, settings.api_port or 0, limits)


def tokens_to_serve(settings: Settings) -> frozenset[str]:
    """The tokens that open the API; none only with API_OPEN.

    Raises:
        ConfigurationError: there is none, their file cannot be used, or there is no pipeline.
    """
    if not settings.has_pipeline:
        msg = "API_PORT: needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL"
        raise ConfigurationError(msg)
    tokens = api_tokens(settings)
    if not tokens and not settings.api_open:
        raise ConfigurationError(UNPROTECTED)
    return tokens


def passwords_to_serve(settings: Settings) -> ConsolePasswords:
    """The passwords that open the console, beside the tokens.

    Raises:
        ConfigurationError: a file of them cannot be used, or one of them is not valid.
    """
    return console_passwords(settings) if settings.console else ConsolePasswords()


def weaknesses(settings: Settings, tokens: frozenset[str]) -> Iterator[str]:
    """What makes the API or the console easy to open, or readable from pages of other sites."""
    if not tokens:
        yield "API_OPEN: each client that reaches the HTTP API may read, write and delete vCons"
    elif settings.api_open:
        yield "API_OPEN has no effect, since there is a token"
    yield from guessable(tokens)
    passwords = passwords_to_serve(settings)
    if settings.console and not (tokens or passwords.operators or passwords.readers):
        yield "the console is off: set CONSOLE_PASSWORD; API_OPEN does not open it"
    if short := sum(len(each) < SHORTEST_KEY for each in passwords.operators | passwords.readers):
        yield f"passwords of the console with fewer than {SHORTEST_KEY} characters: {short}"
    if "*" in settings.api_cors_origins:
        yield "API_CORS_ORIGINS is *: pages of any site that have a token may call the HTTP API"
