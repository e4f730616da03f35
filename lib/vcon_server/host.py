"""Prepares a process for plugins of vcon-server; called once, before a plugin is loaded."""

from typing import Protocol

from lib import limits, vcon_egress_compat
from lib.vcon_library import prepare
from lib.vcon_redis import VconRedis
from lib.vcon_server import aliases, config
from lib.vcon_server import settings as library_settings


class PluginSettings(Protocol):
    """The service's settings that `lib` needs; `lib` may not import `core.settings`."""

    @property
    def vcon_redis_expiry(self) -> int:
        """Seconds: the default time to live of `VconRedis`."""

    @property
    def allow_private_urls(self) -> bool:
        """Whether `lib.fetching` may connect to private addresses."""

    @property
    def egress_format_version(self) -> str:
        """The format of outgoing vCons, for `lib.vcon_egress_compat`."""


def receive_plugins(settings: PluginSettings, read: config.Read) -> None:
    """Install the import aliases, patch the `vcon` library on import, and set defaults in `lib`.

    `read` gives `lib.vcon_server.config` the configuration.
    """
    aliases.install()
    prepare()
    VconRedis.DEFAULT_TTL = settings.vcon_redis_expiry
    vcon_egress_compat.configure(settings.egress_format_version)
    limits.configure(settings)
    library_settings.configure(settings)
    config.configure(read)
