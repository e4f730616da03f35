"""Posts a dialog's summary to Slack if another analysis of it has a certain text.

Reads the analyses of the type `only_if.analysis_type` whose body includes `only_if.includes`. For
each, the dialog's analysis of the type `analysis_to_post` (without one, the analysis itself) is
posted with a button that opens `url`: to the channel `default_channel_name`, and, if the attachment
`strolid_dealer` names a team other than `strolid`, before that to `team-TEAM-alerts`, with the
dealer's name. If Slack does not let the app post to the team's channel, the message in the default
channel says so. A text is cut at 3000 characters, Slack's limit, and cannot mention users.

Writes `was_posted_to_slack: true` to the analysis when all channels have the message, and until
then `posted_to_slack`, the channels that have it, after each. So a second run, also one after a
failure, posts nothing twice. The vCon is left as it is if no analysis matches. If it is not in
Redis, the chain ends.

Slack has no key by which it knows a repetition. Only requests that Slack has certainly not carried
out are repeated. Each message has metadata with the event type `vcon_analysis` and the effect key.
Raises `VendorError` if Slack refuses a message, and `OutcomeUnknownError` if there was no answer.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from lib import effects
from lib.effects import OutcomeUnknownError
from lib.metrics import increment_counter
from lib.options import vendor_variable
from lib.plain_calls import plain_too
from lib.slack import API, LONGEST_TEXT, ChannelError, Slack, escaped
from lib.vcon.dialogs import Document, Entry, analysis_of, analysis_text
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import BACKOFF, RETRIES, HttpRetryOptions, VendorError

__all__ = ["Options", "effect", "run"]

effect = "once"

log = logging.getLogger(__name__)

VARIABLE = "SLACK_BOT_TOKEN"
POSTED, CHANNELS = "was_posted_to_slack", "posted_to_slack"
LONGEST_TEAM = 100
HEADING = ":neutral_face: This conversation needs attention."


class Condition(BaseModel):
    """Which analyses are posted."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    analysis_type: str = "customer_frustration"
    includes: str = "NEEDS REVIEW"


class Options(HttpRetryOptions):
    """Options of the link."""

    token: SecretStr = Field(
        SecretStr(""),
        description=f"the token of a Slack app with the scope `chat:write`; unset: the variable "
        f"`{VARIABLE}`",
    )
    channel_name: str = Field(
        "", description="the default channel, if `default_channel_name` is unset"
    )
    default_channel_name: str = Field("", description="the channel that gets every message")
    url: str = Field(
        "",
        description="the address of the button, with `{vcon_id}` where the uuid goes; without it, "
        '`?_vcon_id="UUID"` is appended. A message has no button if this is no http(s) address',
    )
    analysis_to_post: str = Field("summary", description="the type of the analysis that is posted")
    only_if: Condition = Field(
        Condition(),
        description="the `analysis_type` that is looked for, and the text that its body `includes`",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)
    backoff: float = Field(1, ge=0, description=BACKOFF)
    base_url: str = Field(API, pattern=r"^https?://", description="+ the address of Slack's API")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        token = self.access.token.get_secret_value()
        if not token:
            raise ValueError(f"set token here or {VARIABLE} in the environment")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("token: has characters that no token of Slack has")
        if not self.channel:
            raise ValueError("set default_channel_name, the channel that gets every message")
        return self

    @property
    def channel(self) -> str:
        """The channel that gets every message."""
        return self.default_channel_name.strip() or self.channel_name.strip()

    @property
    def access(self) -> Slack:
        """Slack, with the token from the option or the environment."""
        token = self.token.get_secret_value().strip() or vendor_variable(VARIABLE)
        return Slack(SecretStr(token), self.http_retry, self.base_url)


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Post what was not posted; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    for index, found in _open(document, options.only_if):
        await _Message(document, index, found, options).post(redis)
    return vcon_uuid


def _open(document: Document, condition: Condition) -> Iterator[tuple[int, Entry]]:
    """Each analysis that matches and was not posted, with its index."""
    for index, each in enumerate(document.get("analysis") or ()):
        if isinstance(each, dict) and each.get("type") == condition.analysis_type:
            matches = condition.includes in str(each.get("body") or "")
            if matches and not each.get(POSTED):
                yield index, each


class _Message:
    """What is posted for one analysis."""

    def __init__(self, document: Document, index: int, found: Entry, options: Options) -> None:
        self._document, self._index, self._found = document, index, found
        self._options = options
        self._team, self._dealer = _team_and_dealer(document)
        self._notice = ""

    async def post(self, redis: AsyncVconRedis) -> None:
        """Post to each channel that does not have it, and note each one in the vCon."""
        if self._team:
            await self._post_to_team(redis)
        await self._post_once(self._options.channel, redis)
        self._found.pop(CHANNELS, None)
        self._found[POSTED] = True
        await redis.store_vcon_dict(self._document)

    async def _post_to_team(self, redis: AsyncVconRedis) -> None:
        channel = f"team-{self._team}-alerts"
        try:
            await self._post_once(channel, redis)
        except ChannelError as error:
            increment_counter("conserver.link.slack.fallback_channel_used")
            log.warning("channel refused, default channel used", extra={"error": str(error)})
            self._notice = f"The channel {channel[:LONGEST_TEAM]} cannot be posted to: {error}"

    async def _post_once(self, channel: str, redis: AsyncVconRedis) -> None:
        posted = self._found.get(CHANNELS)
        done = posted if isinstance(posted, list) else []
        if channel in done:
            return
        try:
            await self._options.access.post(channel, self._content(channel))
        except (VendorError, OutcomeUnknownError):
            increment_counter("conserver.link.slack.post_failures")
            raise
        self._found[CHANNELS] = [*done, channel]
        await redis.store_vcon_dict(self._document)

    def _content(self, channel: str) -> dict[str, Any]:
        text = escaped(self._text())
        blocks = [_section(HEADING), _section(text), *self._details()]
        if self._notice:
            blocks.insert(0, _section(escaped(self._notice)))
        payload = {
            "key": effects.key(self._index, channel),
            "vcon": self._document["uuid"],
        }
        metadata = {"event_type": "vcon_analysis", "event_payload": payload}
        return {"text": text, "blocks": blocks, "metadata": metadata}

    def _text(self) -> str:
        summary = self._summary()
        text = analysis_text(summary).strip() or str(summary.get("body") or "").strip()
        return f"{text or '(no text)'} #{self._dealer}" if self._dealer else text or "(no text)"

    def _summary(self) -> Entry:
        about = self._found.get("dialog")
        for index in about if isinstance(about, list) else [about]:
            kind = self._options.analysis_to_post
            if isinstance(index, int) and (found := analysis_of(self._document, index, kind)):
                return found
        return self._found

    def _details(self) -> list[dict[str, Any]]:
        """The button, if there is an address for it."""
        template, name = self._options.url.strip(), quote(str(self._document["uuid"]), safe="")
        if "{vcon_id}" in template:
            url = template.replace("{vcon_id}", name)
        else:
            url = f'{template}?_vcon_id="{name}"'
        if not template.startswith(("http://", "https://")) or len(url) > LONGEST_TEXT:
            return []
        label = {"type": "plain_text", "text": "Details", "emoji": True}
        button = {"type": "button", "text": label, "url": url, "action_id": "button-action"}
        return [{**_section("The details are here:"), "accessory": button}]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _team_and_dealer(document: Document) -> tuple[str, str]:
    """The first word of the team's name in lower case, and the dealer's name; empty for none."""
    team = dealer = ""
    for each in document.get("attachments") or ():
        if not isinstance(each, dict) or each.get("purpose") != "strolid_dealer":
            continue
        told = _object_of(each.get("body"))
        dealer = str(told.get("name") or "") or dealer
        named = told.get("team")
        words = str(named.get("name") or "").split() if isinstance(named, dict) else []
        team = words[0].lower() if words else team
    return ("" if team == "strolid" else team), (dealer if team not in ("", "strolid") else "")


def _object_of(body: object) -> dict[str, Any]:
    try:
        found = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
