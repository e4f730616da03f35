"""The HTTP API: tokens, header, prefix, and keys that are both a token and a partner's key."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from app.vcon_server.findings import Finding
from core.secrets.api_tokens import guessable

AREA = "api"
DEFAULT_HEADER, DEFAULT_PREFIX = "x-conserver-api-token", "/api"
TOKENS = "CONSERVER_API_TOKEN, CONSERVER_API_TOKEN_FILE"
LONGER = "longer, random tokens"
DIFFERENCES = (
    (
        "POST /vcon with a list that no chain reads",
        "answers 404, unless API_ANY_LIST is on; vcon-server creates the list, which waits unread",
        "API_ANY_LIST=true answers as vcon-server does",
    ),
    (
        "POST /vcon/external-ingress",
        "checks the key before the body, and refuses to replace another partner's vCon (409)",
        "",
    ),
    (
        "GET /config, POST /config",
        "secrets are masked; POST is off unless ADMIN_ACTIONS=true, and checks the whole file",
        "",
    ),
)
"""What differs for each installation that has the HTTP API; docs/http-api.md has the rest."""


class Tokens(NamedTuple):
    """The tokens of the API, or why they cannot be read."""

    values: Collection[str] = ()
    error: str = ""


def of_api(
    environ: Mapping[str, str], tokens: Tokens, document: Mapping[str, Any], *, is_open: bool
) -> list[Finding]:
    """How clients reach the API; `document` is config.yml, for its `ingress_auth`."""
    return [
        _tokens(tokens, is_open=is_open),
        _header(environ.get("CONSERVER_HEADER_NAME") or DEFAULT_HEADER),
        _prefix(environ.get("API_ROOT_PATH")),
        *_port(environ.get("API_PORT")),
        *(Finding(AREA, "note", TOKENS, each, LONGER) for each in guessable(tokens.values)),
        *_shared(tokens.values, document),
        *(Finding(AREA, "note", *each) for each in DIFFERENCES),
    ]


def _tokens(tokens: Tokens, *, is_open: bool) -> Finding:
    if tokens.error:
        remedy = "make the file readable for this user, with a token on each line"
        return Finding(AREA, "stop", TOKENS, tokens.error, remedy)
    if tokens.values:
        return Finding(
            AREA, "ok", TOKENS, f"tokens that open the API, as before: {len(tokens.values)}"
        )
    if is_open:
        text = "none: every caller may use the API, as vcon-server's without a token"
        return Finding(AREA, "warn", TOKENS, text, "set CONSERVER_API_TOKEN, remove API_OPEN")
    text = "none: vcon-server admits every caller then, here it does not start"
    return Finding(AREA, "stop", TOKENS, text, "CONSERVER_API_TOKEN=..., or API_OPEN=true")


def _header(name: str) -> Finding:
    text = "the header with the token or a partner's key, as before"
    return Finding(AREA, "ok", f"header {name}", text)


def _prefix(given: str | None) -> Finding:
    prefix = DEFAULT_PREFIX if given is None else given.rstrip("/")
    text = "each path answers with it and without it, as before"
    return Finding(AREA, "ok", f"prefix {prefix or '(none)'}", text)


def _port(given: str | None) -> Iterator[Finding]:
    if not given:
        text = "8000 if unset, as vcon-server's: on one machine only one of them can listen"
        yield Finding(AREA, "note", "API_PORT", text, "API_PORT=8001 while both run")


def _shared(tokens: Collection[str], document: Mapping[str, Any]) -> list[Finding]:
    auth = document.get("ingress_auth")
    shared = [
        name
        for name, given in (auth.items() if isinstance(auth, Mapping) else ())
        if set(tokens) & set(keys_in(given))
    ]
    return [
        Finding(
            AREA,
            "warn",
            f"ingress_auth.{name}",
            "one of its keys is also a token that opens the whole API",
            "give the partner a key of its own",
        )
        for name in shared
    ]


def keys_in(given: object) -> list[str]:
    """The keys that `ingress_auth` gives for one list: a text, a mapping, or a list of these."""
    entries = given if isinstance(given, list) else [given]
    found = (each.get("key") if isinstance(each, Mapping) else each for each in entries)
    return [each for each in found if isinstance(each, str)]
