"""`docs/plugboard.md` says what the code does."""

import json
import re
from pathlib import Path

import orjson
import pytest

from core.action_response import ActionResponse
from core.errors import STATUS_OF
from core.rpc.request_handler import REPLY_FORMATS, encode
from devstack.plugboard.connections.http_replies import relay
from devstack.plugboard.settings import REQUEST_LINE_LIMITS, Variant

PAGE = (Path(__file__).parents[4] / "docs" / "plugboard.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"^\| `(\{.*?\})` \| `(\w+)` \| (\d+) `(\{.*?\})` \| (\d+) `(\{.*?\})` \|$", re.MULTILINE
)
EXAMPLES = EXAMPLE.findall(PAGE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_what_callers_get(example: tuple[str, ...]) -> None:
    """Each row of the table of answers holds on both Plugboards."""
    answer, form, *relayed = example
    response = ActionResponse.model_validate_json(answer)
    payload = orjson.loads(encode(REPLY_FORMATS[form](response)))
    expected = dict(zip(Variant, [relayed[:2], relayed[2:]], strict=True))
    for variant, (status, body) in expected.items():
        reply = relay(variant, payload)
        assert (reply.status, json.loads(reply.body)) == (int(status), json.loads(body))


def test_there_is_an_example_of_each_format() -> None:
    """No reply format is left without example and explanation."""
    assert {form for _, form, *_ in EXAMPLES} == set(REPLY_FORMATS)
    assert all(f"\n| `{form}` | " in PAGE for form in REPLY_FORMATS)


def test_every_status_is_explained() -> None:
    """Each code that the service answers with is a row of the table."""
    codes = {*STATUS_OF.values(), 500, 504}
    assert [code for code in sorted(codes) if f"\n| {code} | service |" not in PAGE] == []


def test_the_limits_are_the_plugboards() -> None:
    """Both request-line limits are told."""
    assert [f"{limit:,}" in PAGE for limit in REQUEST_LINE_LIMITS.values()] == [True, True]
