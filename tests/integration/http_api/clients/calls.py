"""HTTP calls as the clients of vcon-server make them: with `requests`, and with `httpx`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import httpx
import requests

from flowlang.connections.tls import web_trust

type Parameters = Mapping[str, Any] | Iterable[tuple[str, str]] | None
type Pause = Callable[[float], None]


class NoAnswerError(Exception):
    """The connection was refused, or ended before the answer."""


class Answer(NamedTuple):
    """What a client sees of an answer."""

    status: int
    content: bytes
    headers: Mapping[str, str]
    json: Callable[[], Any]


type Send = Callable[..., Answer]


def by_requests(method: str, url: str, **arguments: Any) -> Answer:
    """A call with `requests`, which writes JSON with spaces and in ASCII."""
    try:
        answer = requests.request(method, url, **arguments)
    except requests.ConnectionError as error:
        raise NoAnswerError from error
    return Answer(answer.status_code, answer.content, answer.headers, answer.json)


def by_httpx(method: str, url: str, *, data: Any = None, **arguments: Any) -> Answer:
    """A call with `httpx`, which writes JSON without spaces and in UTF-8."""
    try:
        answer = httpx.request(method, url, content=data, verify=web_trust(), **arguments)
    except httpx.TransportError as error:
        raise NoAnswerError from error
    return Answer(answer.status_code, answer.content, answer.headers, answer.json)


LIBRARIES: tuple[Send, ...] = (by_requests, by_httpx)
