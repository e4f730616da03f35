"""What a redirect to another server gets of a request's headers.

`httpx` removes `Authorization` and cookies. But vendors have headers of their own for keys
(`api-key`, `x-api-key`, `x-goog-api-key`), and a header of the configuration may be anything. So
only headers that say nothing of the caller go to another server.
"""

from typing import Any

HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "connection", "host", "user-agent"),
        *("content-encoding", "content-length", "content-type", "transfer-encoding"),
    }
)
"""Names of headers, in lower case, that a redirect takes to another server."""


class WithoutSecrets:
    """For a client of `httpx`: another scheme, host or port gets the headers in `HARMLESS` only.

    As in `httpx`, a redirect from port 80 to 443 of one host with TLS stays on its server.
    """

    def _redirect_headers(self, request: Any, url: Any, method: str) -> Any:
        headers = super()._redirect_headers(request, url, method)  # type: ignore[misc]
        if not _is_same(request.url, url):
            for name in [each for each in headers if each.lower() not in HARMLESS]:
                del headers[name]
        return headers


def _is_same(url: Any, other: Any) -> bool:
    if url.host != other.host:
        return False
    both = _place(url), _place(other)
    return both[0] == both[1] or both == (("http", 80), ("https", 443))


def _place(url: Any) -> tuple[str, int | None]:
    return url.scheme, url.port or {"http": 80, "https": 443}.get(url.scheme)
