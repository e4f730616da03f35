"""Random frames and events: decoded or refused, never an exception."""

import json
import logging
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.phoenix.frames import SERIALIZERS, Frame, Malformed
from core.phoenix.lenient_json import Unreadable
from tests.unit.rpc.test_events import JOINED, SERVICE, TOKEN, ClientForTests

FEW = settings(max_examples=60, derandomize=True, deadline=None, database=None)

VERSIONS = st.sampled_from(["1.0.0", "2.0.0"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)
REFS = st.none() | st.text(max_size=8)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates, too

EVENTS = st.sampled_from(
    [
        *("request", "num_consumers", "service_updated", "service_deleted", "token_created"),
        *("token_deleted", "phx_reply", "phx_join", "unknown", ""),
    ]
)
NEAR = st.sampled_from(
    [SERVICE, TOKEN, JOINED, SERVICE | {"id": "3"}, TOKEN | {"service_id": None}]
)
PAYLOADS = st.dictionaries(
    st.sampled_from(
        ["service", "token", "num_consumers", "status", "response", "action", "fields"]
    ),
    NEAR | JSON,
)


@FEW
@given(
    vsn=VERSIONS,
    frame=st.builds(Frame, st.text(max_size=8), st.text(max_size=8), OBJECTS, REFS, REFS),
)
def test_an_encoded_frame_decodes_to_itself(vsn: str, frame: Frame) -> None:
    """Every frame survives its own version; only that version 1 has no join_ref to read."""
    decode, encode = SERIALIZERS[vsn]
    expected = frame if vsn == "2.0.0" else frame._replace(join_ref=None)
    assert decode(encode(frame)) == expected


@FEW
@given(vsn=VERSIONS, text=ANY_TEXT | st.integers(0, 3000).map(lambda deep: "[" * deep))
def test_text_that_is_not_json_is_malformed(vsn: str, text: str) -> None:
    """Halves of characters and nesting without end are refused like any other nonsense."""
    frame = SERIALIZERS[vsn].decode(text)
    assert isinstance(frame, Malformed)
    assert len(frame.reason) < 100


@FEW
@given(vsn=VERSIONS, payload=OBJECTS, deep=st.integers(1, 2000))
def test_a_deep_payload_is_read_or_refused(vsn: str, payload: Any, deep: int) -> None:
    """However deep a caller nests, the frame is one, or is malformed, or says so."""
    nested = "[" * deep + json.dumps(payload) + "]" * deep
    fields = f'{{"fields": {nested}}}'
    texts = {
        "1.0.0": f'{{"topic": "t", "event": "e", "payload": {fields}, "ref": null}}',
        "2.0.0": f'[null, null, "t", "e", {fields}]',
    }
    frame = SERIALIZERS[vsn].decode(texts[vsn])
    assert isinstance(frame, Frame | Malformed)
    if isinstance(frame, Frame):
        found = frame.payload["fields"]
        if isinstance(found, Unreadable):
            assert (deep > 200, found.why) == (True, "fields: nested more than 254 levels deep")
            return
        for _ in range(deep):
            [found] = found
        assert found == payload


@FEW
@given(heard=st.lists(st.tuples(EVENTS, PAYLOADS), max_size=6))
def test_a_client_survives_any_events(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """After random events the next one is handled, and events of other services are ignored."""
    logging.disable()
    try:
        client = ClientForTests()
        client.hears("phx_reply", **JOINED)
        for event, payload in heard:
            client.hears(event, **payload)
        client.hears("num_consumers", num_consumers=77)
        assert client.num_consumers == 77
        assert client.service is not None
    finally:
        logging.disable(logging.NOTSET)
