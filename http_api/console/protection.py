"""What protects the console in a browser: headers, the cookie, and where a change comes from."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from http_api.request import Request

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every page. With `no-referrer` browsers would send no Origin with a form."""
COOKIE = "console"
SECURE_COOKIE = "__Host-console"
"""Over https: a browser takes this name only with Secure, for this host alone."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")


def new_secret() -> str:
    """The secret of a cookie: 32 random bytes."""
    return secrets.token_urlsafe(32)


def form_token(secret: str) -> str:
    """The token in each form of a session, which pages of other sites do not know."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def is_form_token(secret: str, given: str) -> bool:
    """Whether a form has the token of this session."""
    return hmac.compare_digest(form_token(secret).encode(), given.encode("utf-8", "replace"))


class Browser:
    """What is known of a request's client; `trusts_proxy` is CONSOLE_TRUST_PROXY."""

    def __init__(self, request: Request[Any], trusts_proxy: bool) -> None:
        self._request = request
        self._trusts_proxy = trusts_proxy

    @property
    def is_https(self) -> bool:
        """Whether the browser uses https, as far as is known."""
        if self._request.scope.get("scheme") == "https":
            return True
        told = self._request.header("x-forwarded-proto") if self._trusts_proxy else None
        return (told or "").rpartition(",")[2].strip().lower() == "https"

    @property
    def address(self) -> str:
        """The address of the client: that of the connection, or the last one the proxy names."""
        client = self._request.scope.get("client")
        direct = str(client[0]) if client else ""
        if not self._trusts_proxy:
            return direct
        told = (self._request.header("x-forwarded-for") or "").rpartition(",")[2].strip()
        return told if _ADDRESS.fullmatch(told) else direct

    @property
    def cookie_name(self) -> str:
        """The name of the cookie on this connection."""
        return SECURE_COOKIE if self.is_https else COOKIE

    @property
    def secret(self) -> str | None:
        """The secret in the cookie, if it has the form of one."""
        found = cookies(self._request.header("cookie") or "").get(self.cookie_name, "")
        return found if _SECRET.fullmatch(found) else None

    def cookie(self, secret: str) -> str:
        """The header that sets the cookie; an empty secret removes it. It ends with the browser."""
        path = "/; Secure" if self.is_https else "/console"
        end = "" if secret else "; Max-Age=0"
        return f"{self.cookie_name}={secret}; Path={path}; HttpOnly; SameSite=Strict{end}"

    @property
    def is_own_page(self) -> bool:
        """Whether a form was sent from a page of this host.

        Browsers tell by `Sec-Fetch-Site` over https and to localhost, and else by `Origin`. A
        client that sends neither is no browser, and has no cookies of one.
        """
        site = self._request.header("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = self._request.header("origin")
        if origin is None:
            return True
        return _host_of(origin) == (self._request.header("host") or "").lower()


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def cookies(header: str) -> Mapping[str, str]:
    """The cookies of a header; of a repeated one the first, which has the longest path."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return dict(reversed([(name, value) for name, _, value in pairs]))
