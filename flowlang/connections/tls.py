"""TLS of the built-in plugins whose drivers do not read it from a URL."""

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

CHECKS: dict[str, Mapping[str, Any]] = {
    "tls_ca_file": {
        "type": "string",
        "description": "File with certificates to check the server's against; else the machine's",
    },
    "tls_verify": {
        "type": "boolean",
        "default": True,
        "description": "Whether the server's certificate and name are checked",
    },
}
TLS: dict[str, Mapping[str, Any]] = {
    "tls": {"type": "boolean", "default": False, "description": "Whether to connect by TLS"},
    **CHECKS,
}
"""Fields of a connection's configuration."""


def tls_context(config: Mapping[str, Any]) -> ssl.SSLContext:
    """What these fields say. Raises OSError for a file that cannot be read."""
    context = ssl.create_default_context(cafile=config.get("tls_ca_file"))
    if not config.get("tls_verify", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def needs_tls(config: Mapping[str, Any], on: bool, how: str) -> str | None:
    """What is wrong when certificates are named and TLS is not `on`, which `how` would mend."""
    named = [name for name in CHECKS if name in config]
    return f"{named[0]} is given without TLS: {how}" if named and not on else None


@cache
def web_trust(*, trust_env: bool = True) -> ssl.SSLContext:
    """The process's TLS context for `verify` of a client of `httpx`; it must not be changed.

    Without one given, each client makes its own, which takes 10 to 30 ms of CPU time. SSL_CERT_FILE
    and SSL_CERT_DIR count with `trust_env`; files are read once.
    """
    import httpx  # noqa: PLC0415 -- few processes need it

    return httpx.create_ssl_context(trust_env=trust_env)
