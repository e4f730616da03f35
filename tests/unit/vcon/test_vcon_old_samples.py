import json
from pathlib import Path

import pytest

from pipeline.vcon.normalization import normalised

FOLDER = Path(__file__).parents[3] / "samples"
OLD = {
    path.stem: json.loads(path.read_bytes())
    for path in sorted(FOLDER.glob("*.json"))
    if not path.stem.endswith("0.4.0")
}

# What normalisation changes in each old sample, worked out by hand from the field names of its
# version: the paths that go, and the paths that are new or say something else. The version itself
# always changes; everything not named here must stay as it is.
CHANGES = {
    "minimal-0.0.1": ([], {"dialog": [], "analysis": [], "attachments": []}),
    "voicemail-inline-wav-0.0.1": (
        [
            "redacted",
            "appended",
            "group",
            "dialog[0].mimetype",
            "analysis[0].schema_version",
            "analysis[0].body.language",
            "analysis[0].body.text",
            "analysis[0].body.confidence",
        ],
        {
            "dialog[0].mediatype": "audio/x-wav",
            "analysis[0].schema": "2.1",
            "analysis[0].encoding": "json",
            "analysis[0].body": '{"language":"en","text":"Hi, it\'s Ruth. My bike is the green one '
            'with the bent rack. Please ring me back before six.","confidence":0.93}',
        },
    ),
    "tags-as-list-0.0.1": (
        [
            "redacted",
            "appended",
            "group",
            "dialog[0].mimetype",
            "attachments[0].type",
            "attachments[0].body[0]",
            "attachments[0].body[1]",
            "attachments[0].body[2]",
        ],
        {
            "dialog[0].mediatype": "audio/x-mp3",
            "attachments[0].purpose": "tags",
            "attachments[0].body": '["queue:repairs","language:en","outcome:booked"]',
        },
    ),
    "attachment-object-body-0.0.1": (
        [
            "redacted",
            "appended",
            "group",
            "dialog[0].mimetype",
            "analysis[0].schema_version",
            "analysis[0].mimetype",
            "attachments[0].type",
            "attachments[0].mimetype",
            "attachments[0].body.lease",
            "attachments[0].body.model",
            "attachments[0].body.months",
            "attachments[0].body.monthly.amount",
            "attachments[0].body.monthly.currency",
            "attachments[0].body.extras[0]",
            "attachments[0].body.extras[1]",
            "attachments[1].type",
            "attachments[1].mimetype",
        ],
        {
            "amended": {},
            "dialog[0].mediatype": "audio/x-wav",
            "analysis[0].schema": "1",
            "analysis[0].mediatype": "text/plain",
            "attachments[0].purpose": "lease",
            "attachments[0].mediatype": "application/json",
            "attachments[0].encoding": "json",
            "attachments[0].body": '{"lease":"TW-24-5518","model":"Heron Cargo","months":24,'
            '"monthly":{"amount":89.5,"currency":"USD"},"extras":["rain cover","second battery"]}',
            "attachments[1].purpose": "script",
            "attachments[1].mediatype": "text/plain",
        },
    ),
    "stored-with-nulls-0.0.1": (
        ["redacted", "appended", "group", "dialog[0].mimetype", "dialog[1].mimetype"],
        {
            "dialog[0].mediatype": "text/plain",
            "dialog[1].mediatype": None,
            "analysis": [],
            "attachments": [],
        },
    ),
    "transfer-two-calls-0.0.2": (
        ["attachments[0].type"],
        {"attachments[0].purpose": "case", "analysis": []},
    ),
    "analysis-transcript-list-0.0.2": (
        [
            "group",
            "redacted",
            "analysis[0].schema_version",
            "analysis[0].mimetype",
            *[
                f"analysis[0].body[{line}].{field}"
                for line in range(5)
                for field in ("party", "start", "end", "text")
            ],
        ],
        {
            "analysis[0].schema": "segments-3",
            "analysis[0].mediatype": "application/json",
            "analysis[0].encoding": "json",
            "analysis[0].body": '[{"party":0,"start":0.4,"end":6.1,"text":"Morning. The battery '
            'shows one bar after a night on the charger."},{"party":1,"start":6.8,"end":11.9,'
            '"text":"Does the light on the charger turn green at all?"},{"party":0,"start":12.3,'
            '"end":15.0,"text":"No, it blinks red twice, then stops."},{"party":1,"start":15.8,'
            '"end":27.2,"text":"Two blinks mean the cells are too cold. Bring it indoors for two '
            'hours and try again."},{"party":0,"start":28.0,"end":33.3,"text":"That makes sense, '
            'the shed was freezing."}]',
            "attachments": [],
        },
    ),
    "sms-0.1.0": (
        ["dialog[0].mimetype", "dialog[1].mimetype", "dialog[2].mimetype"],
        {
            "dialog[0].mediatype": "text/plain",
            "dialog[1].mediatype": "text/plain",
            "dialog[2].mediatype": "text/plain",
        },
    ),
    "incomplete-voicemail-no-message-0.1.0": (
        ["attachments[0].type", "attachments[0].mimetype", "attachments[0].body[0]"],
        {
            "analysis": [],
            "attachments[0].purpose": "tags",
            "attachments[0].mediatype": "application/json",
            "attachments[0].body": '["queue:repairs"]',
        },
    ),
    "no-dialog-0.2.0": ([], {"dialog": [], "analysis": [], "attachments": []}),
    "attachment-text-note-0.2.0": (
        ["attachments[0].type", "attachments[0].mimetype"],
        {
            "uuid": "6a423cf9-d330-4549-8d14-cf1a4cc34636",
            "attachments[0].purpose": "note",
            "attachments[0].mediatype": "text/plain",
        },
    ),
    "chatbot-handover-0.2.0": (
        [
            *[f"dialog[{line}].mimetype" for line in range(5)],
            "analysis[0].schema_version",
            "analysis[0].body.from",
            "analysis[0].body.to",
            "analysis[0].body.reason",
            "analysis[0].body.waited_seconds",
        ],
        {
            "uuid": "f94855d0-d178-4030-b5c9-a8c4668dc8f4",
            **{f"dialog[{line}].mediatype": "text/plain" for line in range(5)},
            "analysis[0].schema": "1",
            "analysis[0].encoding": "json",
            "analysis[0].body": '{"from":"bot","to":"person","reason":"asked for a person",'
            '"waited_seconds":85}',
            "attachments": [],
        },
    ),
    "conference-five-parties-0.3.0": (
        [
            "group",
            "must_support",
            "analysis[0].schema_version",
            "attachments[0].type",
            "attachments[0].body.2024-10-05",
            "attachments[0].body.2024-10-12",
            "attachments[0].body.2024-10-19",
        ],
        {
            "critical": [],
            "analysis[0].schema": "2",
            "attachments[0].purpose": "rota",
            "attachments[0].body": '{"2024-10-05":"Tomasz","2024-10-12":"Tomasz",'
            '"2024-10-19":"Jonas"}',
        },
    ),
    "analysis-sentiment-object-0.3.0": (
        [
            "analysis[0].schema_version",
            "analysis[0].must_support",
            "analysis[0].body.overall",
            "analysis[0].body.score",
            "analysis[0].body.by_party[0].party",
            "analysis[0].body.by_party[0].score",
            "analysis[0].body.by_party[1].party",
            "analysis[0].body.by_party[1].score",
        ],
        {
            "analysis[0].schema": "4.0",
            "analysis[0].critical": [],
            "analysis[0].encoding": "json",
            "analysis[0].body": '{"overall":"negative","score":-0.41,"by_party":[{"party":0,'
            '"score":-0.66},{"party":1,"score":0.12}]}',
        },
    ),
    "appended-video-0.3.0": (
        ["appended.uuid", "appended.url", "appended.content_hash", "analysis[0].schema_version"],
        {
            "amended.uuid": "0192f7e7-8c00-8699-be0b-5591ef7d9967",
            "amended.url": "https://vcons.example.com/0192f7e7-8c00-8699-be0b-5591ef7d9967",
            "amended.content_hash": "sha512-9GpUT3TvyKxjRzkur38mutw7n03CPfMe2aYmYzcZc7X"
            "GmDokfyX_tioMbTz9I1Z4iMN0myscsYj5qypgqNqDUQ",
            "analysis[0].schema": "2",
        },
    ),
}


def flat(value, path=""):
    """Every leaf of a document by its path; an empty list or object is a leaf."""
    if isinstance(value, dict) and value:
        inside = [(f"{path}.{name}".removeprefix("."), item) for name, item in value.items()]
    elif isinstance(value, list) and value:
        inside = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for place, item in inside for key, leaf in flat(item, place).items()}


@pytest.mark.parametrize("name", OLD)
def test_an_old_sample_becomes_what_was_worked_out_by_hand(name):
    """Exactly the changes in the table happen, and nothing else."""
    gone, now = CHANGES[name]
    expected = {**flat(OLD[name]), "vcon": "0.4.0", **now}
    assert flat(normalised(OLD[name])) == {
        path: value for path, value in expected.items() if path not in gone
    }


def test_the_table_names_only_paths_that_are_there():
    """A path that goes was there before, so that no line of the table is dead."""
    for name, (gone, _) in CHANGES.items():
        assert set(gone) <= set(flat(OLD[name])), name
