"""`post_analysis_to_slack`, with a server with Slack's limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from lib.effects import OutcomeUnknownError
from lib.slack import ChannelError, escaped
from lib.web.http_client import close
from lib.web.http_retry import VendorError
from pipeline.config.parser import parse
from pipeline.live_config import Configuration
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.links.vendor_links_scene import MISSING, now, problem
from tests.integration.support.http_stand_in import stand_in
from tests.integration.support.pipeline_fixtures import Scene, configured, link
from tests.integration.support.vendors.slack import Slack
from tests.integration.support.vendors_scene import QUICK, transcribed
from tests.plugins.scene import Later

slack_link = Later("links.post_analysis_to_slack")
TOKEN = canary("xoxb-token-3c46")
TEAM, DEFAULT = "team-red-alerts", "alerts"
FRUSTRATED = {"type": "customer_frustration", "dialog": 0, "body": "NEEDS REVIEW: angry"}
SUMMARY = {"type": "summary", "dialog": 0, "body": "A broken bike.", "encoding": "none"}


@pytest.fixture
def slack() -> Iterator[Slack]:
    """A workspace with two channels."""
    with stand_in(Slack(DEFAULT, TEAM, token=TOKEN)) as server:
        yield server


def options(slack: Slack, **changes: Any) -> dict[str, Any]:
    """Options of the link."""
    given = {"token": TOKEN, "default_channel_name": DEFAULT, "base_url": f"{slack.url}/api"}
    return {**given, "url": "https://portal.example/{vcon_id}", **QUICK, **changes}


def of_team(name: Any = "Red Bikes", dealer: str = "Smith & Co") -> dict[str, Any]:
    """The attachment that names a team."""
    body = json.dumps({"name": dealer, "team": {"name": name}})
    return {"purpose": "strolid_dealer", "encoding": "json", "body": body}


def frustrated(*attachments: dict[str, Any], analysis: Any = None) -> dict[str, Any]:
    """A vCon whose dialog needs a review."""
    entries = [SUMMARY, FRUSTRATED] if analysis is None else analysis
    return transcribed() | {"attachments": list(attachments), "analysis": entries}


async def ran(store: VconStore, document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The vCon after the link."""
    await store.put(document)
    assert await slack_link.run(document["uuid"], "a_link", given) == document["uuid"]
    return await now(document)


def marks(document: dict[str, Any]) -> list[Any]:
    """What the analyses say of Slack."""
    names = ("was_posted_to_slack", "posted_to_slack")
    return [{n: each[n] for n in names if n in each} for each in document["analysis"]]


async def test_the_summary_is_posted_to_the_team_and_to_the_default(
    store: VconStore, slack: Slack
) -> None:
    """With a button, metadata and the dealer; a second run posts nothing."""
    document = frustrated(of_team())
    once = await ran(store, document, options(slack))
    first, second = slack.posted
    assert (first["channel"], second["channel"]) == (TEAM, DEFAULT)
    assert first["text"] == second["text"] == "A broken bike. #Smith &amp; Co"
    assert first["blocks"][1]["text"]["text"] == first["text"]
    address = f"https://portal.example/{document['uuid']}"
    assert first["blocks"][2]["accessory"]["url"] == address
    assert first["metadata"]["event_payload"]["vcon"] == document["uuid"]
    assert first["metadata"]["event_payload"]["key"] != second["metadata"]["event_payload"]["key"]
    assert marks(once) == [{}, {"was_posted_to_slack": True}]
    assert TOKEN not in json.dumps(once)
    assert await ran(store, once, options(slack)) == once
    assert len(slack.posted) == 2


async def test_a_failure_between_two_channels_posts_nothing_twice(
    store: VconStore, slack: Slack
) -> None:
    """vcon-server posts to the team again."""
    document = frustrated(of_team())
    slack.answers = ["ok", "400"]
    await store.put(document)
    with pytest.raises(VendorError, match="answered 400"):
        await slack_link.run(document["uuid"], "a_link", options(slack))
    between = await now(document)
    assert marks(between)[1] == {"posted_to_slack": [TEAM]}
    after = await ran(store, between, options(slack))
    assert [each["channel"] for each in slack.posted] == [TEAM, DEFAULT]
    assert marks(after)[1] == {"was_posted_to_slack": True}


@pytest.mark.parametrize("fault", ["cut", "half", "drop", "hang", "500", "502", "504"])
@pytest.mark.parametrize("retries", [0, 2])
async def test_a_lost_answer_is_not_sent_again(
    store: VconStore, slack: Slack, fault: str, retries: int
) -> None:
    """Slack may have posted the message: it has no key by which it would know the second."""
    document = frustrated()
    slack.answers = [fault]
    await store.put(document)
    changes = {"retries": retries} | ({"timeout": 0.05} if fault == "hang" else {})
    with pytest.raises(OutcomeUnknownError, match="may have been posted"):
        await slack_link.run(document["uuid"], "a_link", options(slack, **changes))
    assert len(slack.got) == 1


@pytest.mark.parametrize("error", ["internal_error", "fatal_error"])
async def test_an_error_after_which_slack_may_have_posted(
    store: VconStore, slack: Slack, error: str
) -> None:
    """Slack says that some of the call may have been done."""
    document = frustrated()
    slack.fails_with = [error]
    await store.put(document)
    with pytest.raises(OutcomeUnknownError, match=error):
        await slack_link.run(document["uuid"], "a_link", options(slack))
    assert len(slack.got) == 1


@pytest.mark.parametrize("fault", ["503", "429 Retry-After: 0"])
async def test_what_slack_has_not_done_is_sent_again(
    store: VconStore, slack: Slack, fault: str
) -> None:
    """And is posted once."""
    slack.answers = [fault]
    await ran(store, frustrated(), options(slack))
    assert slack.texts(DEFAULT) == ["A broken bike."]


async def test_slacks_rate_limit(store: VconStore, slack: Slack) -> None:
    """Its `Retry-After` is waited for; one that is too long is an error at once."""
    slack.burst = 1
    two = [SUMMARY, FRUSTRATED, FRUSTRATED | {"body": "NEEDS REVIEW, again"}]
    document = frustrated(analysis=two)
    await ran(store, document, options(slack))
    assert len(slack.texts(DEFAULT)) == 2
    slack.burst, slack.retry_after = 0, "3600"
    await store.put(document)
    with pytest.raises(VendorError, match="answered 429"):
        await slack_link.run(document["uuid"], "a_link", options(slack))


async def test_an_error_in_an_answer_with_status_200(store: VconStore, slack: Slack) -> None:
    """Is an error; one that says `ratelimited` is waited for."""
    slack.fails_with = ["ratelimited"]
    await ran(store, frustrated(), options(slack))
    document = frustrated()
    await store.put(document)
    with pytest.raises(VendorError, match="answered invalid_auth") as failure:
        await slack_link.run(document["uuid"], "a_link", options(slack, token="xoxb-wrong"))
    assert "xoxb" not in str(failure.value)
    assert marks(await now(document)) == [{}, {}]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("Gone", "channel_not_found"),
        ("x" * 90, "not one that Slack has"),
        ("<!channel>", "not one that Slack has"),
    ],
)
async def test_a_team_without_a_channel(
    store: VconStore, slack: Slack, name: str, error: str
) -> None:
    """The default channel has the message and why; vcon-server fails, and posts no summary."""
    found = await ran(store, frustrated(of_team(name)), options(slack))
    [message] = slack.posted
    assert message["channel"] == DEFAULT
    assert error in message["blocks"][0]["text"]["text"]
    assert message["text"] == "A broken bike. #Smith &amp; Co"
    assert "<" not in message["blocks"][0]["text"]["text"]
    assert marks(found)[1] == {"was_posted_to_slack": True}


@pytest.mark.parametrize("name", ["old", "private", "nowhere"])
async def test_a_default_channel_that_cannot_be_posted_to(
    store: VconStore, slack: Slack, name: str
) -> None:
    """Is an error."""
    document = frustrated()
    await store.put(document)
    with pytest.raises(ChannelError):
        await slack_link.run(document["uuid"], "a_link", options(slack, default_channel_name=name))


@pytest.mark.parametrize("name", [None, "", "  ", "Strolid", 7, ["x"], {}])
async def test_teams_of_every_shape(store: VconStore, slack: Slack, name: Any) -> None:
    """Without one, or with Strolid's own, the default channel alone has the message."""
    broken = [{"purpose": "strolid_dealer", "body": body} for body in ("{", "[]", None, 7)]
    attachments = [of_team(name), *broken] if name != 7 else [*broken]
    await ran(store, frustrated(*attachments), options(slack))
    assert [each["channel"] for each in slack.posted] == [DEFAULT]


@pytest.mark.parametrize(
    ("analysis", "text"),
    [
        ([FRUSTRATED], "NEEDS REVIEW: angry"),
        ([SUMMARY | {"body": "", "encoding": "none"}, FRUSTRATED], "(no text)"),
        ([SUMMARY, FRUSTRATED | {"dialog": [3, 0]}], "A broken bike."),
        (
            [SUMMARY | {"body": "<!channel> & <@U1>"}, FRUSTRATED],
            "&lt;!channel&gt; &amp; &lt;@U1&gt;",
        ),
        ([SUMMARY | {"body": '{"text": "of JSON"}', "encoding": "json"}, FRUSTRATED], "of JSON"),
        ([SUMMARY | {"body": "<" * 5000}, FRUSTRATED], "&lt;" * 749 + "\u2026"),
        ([7, {"type": "customer_frustration"}, SUMMARY, FRUSTRATED], "A broken bike."),
    ],
)
async def test_summaries_of_every_shape(
    store: VconStore, slack: Slack, analysis: Any, text: str
) -> None:
    """A missing one fails in vcon-server; no text mentions a user or is too long for Slack."""
    await ran(store, frustrated(analysis=analysis), options(slack))
    assert slack.texts(DEFAULT) == [text]


@pytest.mark.parametrize("longest", range(1, 13))
def test_a_cut_text_ends_between_its_characters(longest: int) -> None:
    """Not within the marks that stand for `&` or `<`."""
    cut = escaped("a&<b" * 3, longest)
    assert len(cut) <= longest
    whole = cut.removesuffix("\u2026").replace("&amp;", "").replace("&lt;", "")
    assert set(whole) <= {"a", "b"}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://x.example/a", 'https://x.example/a?_vcon_id="{}"'),
        ("https://x.example/{vcon_id}?b={c}", "https://x.example/{}?b={{c}}"),
        ("Url to link to the details page", None),
        ("https://x.example/" + "a" * 3000, None),
        ("", None),
    ],
)
async def test_addresses_of_the_button(
    store: VconStore, slack: Slack, url: str, address: str | None
) -> None:
    """Without one that Slack accepts there is no button."""
    document = frustrated()
    await ran(store, document, options(slack, url=url))
    buttons = [
        each["accessory"]["url"] for each in slack.posted[0]["blocks"] if "accessory" in each
    ]
    assert buttons == ([address.format(document["uuid"])] if address else [])


async def test_nothing_to_post(store: VconStore, slack: Slack) -> None:
    """Another text, another type, a vCon without analyses, or no vCon."""
    calm = [SUMMARY, FRUSTRATED | {"body": "calm"}, FRUSTRATED | {"body": None}]
    for document in (frustrated(analysis=calm), transcribed() | {"analysis": None}):
        await ran(store, document, options(slack))
    other = options(slack, only_if={"includes": "OTHER"})
    await ran(store, frustrated(), other)
    assert await slack_link.run(MISSING, "a_link", options(slack)) is None
    assert slack.got == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": None}, "SLACK_BOT_TOKEN"),
        ({"token": "xoxb-a\nb"}, "characters that no token"),
        ({"default_channel_name": None}, "default_channel_name"),
        ({"only_if": "x"}, "only_if"),
    ],
)
def test_what_is_told_at_the_start(
    changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vcon-server fails at the first message."""
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    given = {"token": TOKEN, "default_channel_name": DEFAULT} | changes
    assert words in problem("links.post_analysis_to_slack", given)


async def test_vcon_servers_names_are_enough(
    store: VconStore, slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`channel_name`, and Slack's own variable."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    given = options(slack, token=None, default_channel_name=None, channel_name=f"#{DEFAULT}")
    await ran(store, frustrated(), given)
    assert slack.posted[0]["channel"] == f"#{DEFAULT}"


async def test_a_run_of_a_worker_posts_once(scene: Scene, slack: Slack) -> None:
    """Also when the vCon comes a second time."""
    step = link(import_module("links.post_analysis_to_slack").run, "slack", options=options(slack))
    await scene.start(configured(links=[step]))
    document = frustrated(of_team())
    await scene.store.put(document)
    for _ in range(2):
        await scene.redis.command("RPUSH", "in", document["uuid"])
        assert (await scene.finished()).status == "done"
    assert [each["channel"] for each in slack.posted] == [TEAM, DEFAULT]
    await close()


async def test_a_run_whose_answer_is_lost_is_not_tried_again(scene: Scene, slack: Slack) -> None:
    """It is a dead letter at once: the second attempt might post a second message."""
    slack.answers = ["ok", "drop"]
    links = {"slack": {"module": "links.post_analysis_to_slack", "options": options(slack)}}
    chain = {"links": ["slack"], "ingress_lists": ["in"], "max_attempts": 3}
    config = parse({"links": links, "chains": {"main": chain}}, {})
    await scene.start(Configuration(config, load(config)))
    document = frustrated(of_team())
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    ended = await scene.finished()
    assert ended.status == "failed"
    assert "may have been posted" in json.dumps(ended.run)
    assert len(slack.got) == 2
    found = await scene.store.get(document["uuid"])
    assert found is not None
    assert marks(found)[1] == {"posted_to_slack": [TEAM]}
    await close()
