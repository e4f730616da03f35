"""Posts messages with Slack's Web API (`chat.postMessage`).

Slack has no key by which it knows a repeated message. So only a request that Slack has certainly
not carried out is repeated: no connection, 429, 503, or an error that says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import SecretStr

from lib.effects import OutcomeUnknownError
from lib.web.client_library import httpx
from lib.web.http_retry import HttpRetry, VendorError, call_vendor
from lib.web.json_api import send_json

API = "https://slack.com/api"
SERVER = "Slack"
LONGEST_NAME = 80
"""Characters of a channel's name."""
LONGEST_TEXT = 3000
"""Characters of a block of text, and of a button's URL."""

_NOT_DONE = frozenset({"ratelimited", "rate_limited", "service_unavailable", "request_timeout"})
_UNKNOWN = frozenset({"internal_error", "fatal_error"})
_CHANNEL = frozenset(
    {
        *("channel_not_found", "not_in_channel", "is_archived", "channel_type_not_supported"),
        *("restricted_action_read_only_channel", "restricted_action_non_threadable_channel"),
        *("restricted_action_thread_only_channel", "restricted_action"),
    }
)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class ChannelError(VendorError):
    """The channel is not there, or the app may not post to it."""


class ApiError(Exception):
    """An answer that says that nothing was done; `http_retry` knows the class by its name."""

    status_code = 429


@dataclass(frozen=True, slots=True)
class Slack:
    """Access to a workspace."""

    token: SecretStr
    retry: HttpRetry
    base_url: str = API

    async def post(self, channel: str, message: Mapping[str, Any]) -> None:
        """Post a message, which is the arguments of `chat.postMessage` without the channel.

        Raises:
            ChannelError: the channel cannot be posted to.
            OutcomeUnknownError: there was no answer; the message may have been posted.
            VendorError: Slack refused it otherwise, or could not be reached.
        """
        if not is_channel(channel):
            raise ChannelError("the channel's name is not one that Slack has")
        post = _Post(self, orjson.dumps({**message, "channel": channel}))
        try:
            await call_vendor(post.attempt, self.retry, SERVER)
        except VendorError as error:
            if post.is_open:
                raise OutcomeUnknownError(f"{error}; the message may have been posted") from None
            raise


@dataclass(slots=True)
class _Post:
    """One message; `is_open`: it was sent, and it is not known whether Slack has posted it."""

    slack: Slack
    body: bytes
    is_open: bool = False

    async def attempt(self) -> None:
        if self.is_open:
            raise OutcomeUnknownError(f"{SERVER} did not answer; the message may have been posted")
        self.is_open = True
        try:
            answer = await self._answer()
        except _UNSENT:
            self.is_open = False
            raise
        except httpx.HTTPStatusError as error:
            self.is_open = error.response.status_code >= 500 and error.response.status_code != 503
            raise
        self._check(answer)

    async def _answer(self) -> Any:
        headers = {
            "authorization": f"Bearer {self.slack.token.get_secret_value().strip()}",
            "content-type": "application/json; charset=utf-8",
        }
        url = f"{self.slack.base_url.rstrip('/')}/chat.postMessage"
        return (
            await send_json("POST", url, server=SERVER, headers=headers, content=self.body)
        ).body

    def _check(self, answer: Any) -> None:
        told = answer if isinstance(answer, dict) else {}
        if told.get("ok") is True:
            self.is_open = False
            return
        error = str(told.get("error") or "an answer without `ok`")[:100]
        self.is_open = error in _UNKNOWN or "error" not in told
        if error in _NOT_DONE:
            raise ApiError(error)
        kind = ChannelError if error in _CHANNEL else VendorError
        raise kind(f"{SERVER} answered {error}")


def is_channel(name: str) -> bool:
    """Whether a name or an id may be a channel's: letters, digits, `-` and `_`, up to 80."""
    bare = name.removeprefix("#")
    allowed = all(each.isalnum() or each in "-_" for each in bare)
    return 0 < len(bare) <= LONGEST_NAME and allowed


def escaped(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text that mentions no user or channel, with at most `longest` characters."""
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    whole = "".join(marks.get(each, each) for each in text)
    if len(whole) <= longest:
        return whole
    kept = whole[: longest - 1]
    mark = kept.rfind("&", max(0, len(kept) - 5))
    return (kept if mark < 0 or ";" in kept[mark:] else kept[:mark]) + "\u2026"
