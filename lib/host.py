"""Making a process fit for guests written for vcon-server; called once, before any is loaded."""

from lib import aliases
from lib.vcon_library import prepare
from lib.vcon_redis import VconRedis


def receive_guests(vcon_ttl: int) -> None:
    """`server.*` import paths, a harmless `vcon` library, and the default time to live in s."""
    aliases.install()
    prepare()
    VconRedis.DEFAULT_TTL = vcon_ttl
