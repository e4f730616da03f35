"""Making a process fit for guests written for vcon-server; called once, before any is loaded."""

from lib import aliases
from lib.fetching import allow_private_urls as allow
from lib.vcon_library import prepare
from lib.vcon_redis import VconRedis


def receive_guests(vcon_ttl: int, *, allow_private_urls: bool = False) -> None:
    """`server.*` import paths, a harmless `vcon` library, and the default time to live in s.

    `allow_private_urls`: `lib.fetching` may connect to private addresses.
    """
    aliases.install()
    prepare()
    VconRedis.DEFAULT_TTL = vcon_ttl
    allow(allowed=allow_private_urls)
