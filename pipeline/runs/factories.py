"""The parts that the service and its workers both build from the settings."""

from pathlib import Path

from core.concurrency.thread_pool import BoundedCalls
from core.errors import ConfigurationError
from core.settings import Settings
from pipeline.config.model import Lenience
from pipeline.media import media
from pipeline.media.factory import build_media
from pipeline.plugins.installer import Installer
from pipeline.redis_client import client
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.batches import ReplicaWait
from pipeline.redis_client.driver.pools import RedisAccess
from pipeline.runs.queues import Queues

WAITING = 3
"""Requests that may wait for a Postgres thread, for each of these threads."""
SECONDS = 2.0
"""Time of a call to Postgres that reads or writes a few rows: a caller is told 503 after it."""
GRACE = 2.0
"""Seconds for Postgres to end a long statement by its own timeout."""


def config_path(settings: Settings) -> Path:
    """The path of config.yml; the service must have a pipeline."""
    assert settings.conserver_config_file is not None
    return settings.conserver_config_file


def lenience(settings: Settings) -> Lenience:
    """How lenient the configuration is read, as keyword arguments of `yaml_file.read`."""
    return {
        "strict": settings.config_strict,
        "weak_keys": settings.allow_weak_keys,
        "on_broken": settings.config_on_broken,
    }


def installer(settings: Settings) -> Installer:
    """The installer of missing modules, if that is allowed."""
    return Installer(
        settings.modules_dir,
        allowed=bool(settings.dynamic_install),
        upgrade=settings.modules_upgrade,
        exact=settings.exact_installs,
    )


def postgres_calls(settings: Settings) -> BoundedCalls:
    """The bounded threads for the requests' calls to Postgres."""
    return BoundedCalls(
        "postgres",
        threads=settings.postgres_threads,
        waiting=WAITING * settings.postgres_threads,
        seconds=SECONDS,
        long_seconds=settings.postgres_statement_timeout + GRACE,
    )


def redis_connection(settings: Settings) -> RedisConnection:
    """The process's connection, installed for `lib`; connects on first use.

    Raises:
        ConfigurationError: the address has an option that the driver does not know.
    """
    assert settings.redis_url is not None
    try:
        redis = RedisConnection(
            settings.redis_url.get_secret_value(),
            access=redis_access(settings),
            wait=_replica_wait(settings),
        )
    except ValueError as error:
        raise ConfigurationError([f"REDIS_URL: {error}"]) from None
    client.install(redis)
    media.install(build_media(settings, redis))
    return redis


def redis_access(settings: Settings) -> RedisAccess:
    """How to reach Redis, besides its address."""
    return RedisAccess(
        ca_file=str(settings.redis_ca_file or ""),
        sentinel_user=settings.redis_sentinel_user,
        sentinel_password=settings.redis_sentinel_password.get_secret_value(),
    )


def _replica_wait(settings: Settings) -> ReplicaWait:
    is_in_postgres = settings.custody == "postgres" and settings.custody_fallback == "none"
    replicas = 0 if is_in_postgres else settings.redis_wait_replicas
    return ReplicaWait(replicas, settings.redis_wait_seconds)


def build_queues(settings: Settings, redis: RedisConnection, replica: str) -> Queues:
    """The queue scripts with the settings' expiry times, for a replica or its worker."""
    return Queues(
        redis,
        run_expiry=settings.run_expiry,
        vcon_expiry=settings.vcon_redis_expiry,
        sorted_set=settings.vcon_sorted_set_name,
        replica=replica,
        gated=settings.custody == "postgres",
    )
