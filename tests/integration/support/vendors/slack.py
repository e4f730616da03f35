"""Slack's Web API: `chat.postMessage` with the limits that Slack documents."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request, StandIn

POST = "/api/chat.postMessage"
LONGEST_TEXT, MOST_TEXT, MOST_BLOCKS = 3000, 40_000, 50
LONGEST_BUTTON, LONGEST_URL, LONGEST_ACTION, LONGEST_NAME = 75, 3000, 255, 80
LARGEST_METADATA = 4000
ARGUMENTS = {
    *("channel", "text", "blocks", "metadata", "attachments", "mrkdwn", "parse", "thread_ts"),
    *("link_names", "unfurl_links", "unfurl_media", "username", "icon_emoji", "icon_url"),
}


class NotOkError(Exception):
    """`ok: false`, with status 200 as Slack sends it."""


class Slack(StandIn):
    """A workspace; a link's `base_url` is its `url` with `/api`.

    `channels` are those that the app may post to, `archived` are there and closed, and `closed`
    have not invited the app. A channel takes `burst` messages, then answers 429 once.
    """

    def __init__(self, *channels: str, token: str = "xoxb-token") -> None:
        super().__init__()
        self.channels = set(channels) or {"alerts"}
        self.archived, self.closed = {"old"}, {"private"}
        self.token = token
        self.burst, self.retry_after = 1000, "0"
        self.fails_with: list[str] = []
        self.posted: list[dict[str, Any]] = []
        self._recent: Counter[str] = Counter()

    def reply_to(self, request: Request) -> bytes:
        """The answer to one call."""
        try:
            self._check_call(request)
            message = request.json
            self._check_message(message)
            self._take(message)
        except NotOkError as refused:
            return json.dumps({"ok": False, "error": str(refused)}).encode()
        told = {"ok": True, "channel": "C0", "ts": f"{len(self.posted)}.0"}
        return json.dumps(told).encode()

    def texts(self, channel: str) -> list[str]:
        """The texts of the messages in a channel."""
        return [each["text"] for each in self.posted if each["channel"] == channel]

    def _check_call(self, request: Request) -> None:
        if request.path != POST:
            raise Refused(404)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not token:
            raise NotOkError("not_authed")
        if scheme != "Bearer" or token != self.token:
            raise NotOkError("invalid_auth")
        kind, _, charset = request.headers.get("content-type", "").partition(";")
        if kind != "application/json":
            raise NotOkError("invalid_post_type")
        if charset.strip().lower() != "charset=utf-8":
            raise NotOkError("invalid_charset")
        if not isinstance(request.json, dict):
            raise NotOkError("json_not_object")
        if self.fails_with:
            raise NotOkError(self.fails_with.pop(0))

    def _check_message(self, message: dict[str, Any]) -> None:
        if message.keys() - ARGUMENTS:
            raise NotOkError("invalid_arg_name")
        if not message.get("text") and not message.get("blocks"):
            raise NotOkError("no_text")
        if len(message.get("text", "")) > MOST_TEXT:
            raise NotOkError("msg_too_long")
        blocks = message.get("blocks", [])
        if len(blocks) > MOST_BLOCKS or not all(map(_is_block, blocks)):
            raise NotOkError("invalid_blocks")
        self._check_channel(str(message.get("channel") or "").removeprefix("#"))
        _check_metadata(message.get("metadata"))

    def _check_channel(self, name: str) -> None:
        if name in self.archived:
            raise NotOkError("is_archived")
        if name in self.closed:
            raise NotOkError("not_in_channel")
        if name not in self.channels or len(name) > LONGEST_NAME or name != name.lower():
            raise NotOkError("channel_not_found")

    def _take(self, message: dict[str, Any]) -> None:
        channel = message["channel"].removeprefix("#")
        self._recent[channel] += 1
        if self._recent[channel] > self.burst:
            self._recent[channel] = 0
            raise Refused(429, {"ok": False, "error": "ratelimited"}, retry_after=self.retry_after)
        self.posted.append(message)


def _is_block(block: Any) -> bool:
    if block.get("type") != "section" or not _is_text(block.get("text"), LONGEST_TEXT):
        return False
    button = block.get("accessory")
    return button is None or (
        button.get("type") == "button"
        and _is_text(button.get("text"), LONGEST_BUTTON)
        and len(button.get("action_id", "")) <= LONGEST_ACTION
        and len(button.get("url", "")) <= LONGEST_URL
        and button.get("url", "http://").startswith(("http://", "https://"))
    )


def _is_text(text: Any, longest: int) -> bool:
    return (
        isinstance(text, dict)
        and text.get("type") in ("mrkdwn", "plain_text")
        and isinstance(text.get("text"), str)
        and 0 < len(text["text"]) <= longest
    )


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    known = isinstance(metadata, dict) and metadata.keys() == {"event_type", "event_payload"}
    if not known or not isinstance(metadata["event_payload"], dict):
        raise NotOkError("invalid_metadata_format")
    if len(json.dumps(metadata)) > LARGEST_METADATA:
        raise NotOkError("metadata_too_large")
