"""The operations in a process of their own: with Redis and Postgres, without the Plugboard.

The configuration is read, but no plugin is loaded and nothing installed before an operation needs
it, so that a command also works where a plugin is broken.
"""

import getpass
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from core.concurrency.thread_pool import in_own_thread
from core.db.database import database
from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.environment import environment
from core.errors import UnavailableError
from core.operator_interfaces import OperatorApi
from core.settings import Settings
from lib.vcon_server.host import receive_plugins
from pipeline.composition import PipelineComposition
from pipeline.config import yaml_file
from pipeline.live_config import Configuration, keep_secrets
from pipeline.plugins.loader import Plugins
from pipeline.redis_client.errors import with_remedy
from pipeline.runs.factories import config_path, lenience
from schemas.ingress_key import Author


async def _unchanged() -> None:
    """There are no workers to tell of a changed configuration."""


@asynccontextmanager
async def session(settings: Settings) -> AsyncIterator[OperatorApi]:
    """The operations until the block ends; connects when an operation first needs a server.

    Raises:
        ConfigurationError: the configuration cannot be read.
        UnavailableError: a server cannot be used; for Redis, with its address and what to do.
    """
    assert settings.redis_url is not None
    receive_plugins(settings, yaml_file.document)
    read = partial(yaml_file.read, config_path(settings), environment(), **lenience(settings))
    config = await in_own_thread(read)
    keep_secrets(config)
    database.initialize(settings)
    composition = PipelineComposition(
        settings,
        RunHistory(database),
        PartnerRecords(database),
        _unchanged,
        configuration=Configuration(config, Plugins()),
    )
    try:
        yield composition.service.operator
    except UnavailableError as error:
        known = with_remedy(error, settings.redis_url.get_secret_value())
        if known is error:
            raise
        raise known from error
    finally:
        await composition.close()
        await in_own_thread(database.close)


def author() -> Author:
    """The user of this machine, for the audit."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no name for this uid, as in containers
        user = "unknown"
    return Author(actor=f"cli:{user}@{socket.gethostname()}")
