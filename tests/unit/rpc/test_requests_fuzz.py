"""Random requests in random order: each ref gets one answer, which can be relayed."""

import asyncio
import string
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from core.action_response import ActionResponse
from core.phoenix.channel import Channel
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import Dispatcher
from core.rpc.outbox import Outbox
from core.rpc.request_handler import REPLY_FORMATS, RequestHandler, RequestLimits
from tests.unit.support.actions_for_tests import Blocking, Echo, Raising, Strict, TestAction

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text()
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Yielding(TestAction):
    """Lets others run first, and has done so in two ways when it answers or fails."""

    turns: int = 0
    fails: bool = False

    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        with client.giving_way():
            await asyncio.sleep(0)
        for _ in range(min(self.turns, 5)):
            await asyncio.sleep(0)
        if self.fails:
            raise asyncio.CancelledError
        return ActionResponse(status_code=200, fields={"left": client.seconds_left()})


ACTIONS = {cls.__name__: cls for cls in (Blocking, Echo, Raising, Strict, Yielding)}
FIELDS = st.dictionaries(
    st.sampled_from(["text", "number", "names", "kind", "key", "turns", "fails"]) | st.text(),
    JSON,
    max_size=4,
)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(ACTIONS)) | JSON,
        FIELDS | JSON,
        st.sampled_from(string.ascii_lowercase[:6]) | JSON,
    ),
    max_size=12,
)
BOUNDS = st.integers(1, 3), st.integers(0, 3)


async def answers(requests: list[tuple[Any, Any, Any]], at_once: int, waiting: int) -> list[Any]:
    """Ref and payload of every answer, in order."""
    outbox = Outbox(Channel("service"))
    handler = RequestHandler(
        Dispatcher(ACTIONS, run_blocking=asyncio.to_thread),
        ConcurrencyLimiter(max_running=at_once, max_waiting=waiting),
        RequestLimits(60.0, 100),
        REPLY_FORMATS["auto"],
        outbox,
        lambda: None,
    )
    for action, fields, ref in requests:
        size = len(orjson.dumps(fields)) + 50
        handler.accept(action, fields, ref, handler, None, size)
    await handler.close(60.0)
    return [(answer.ref, answer.payload) for answer in outbox.unsent.take()]


@settings(max_examples=150, deadline=None)
@given(REQUESTS, *BOUNDS)
def test_every_ref_is_answered_once(
    requests: list[tuple[Any, Any, Any]], at_once: int, waiting: int
) -> None:
    """And with a status that HTTP has; what has no ref is dropped."""
    given = asyncio.run(answers(requests, at_once, waiting))
    refs = {ref for _, _, ref in requests if isinstance(ref, str)}
    assert sorted(ref for ref, _ in given) == sorted(refs)
    for _, payload in given:
        answer = orjson.loads(orjson.dumps(payload))
        assert ActionResponse(status_code=answer["status_code"]).status == answer["status"]
        assert answer["status_code"] in {200, 400, 404, 413, 500, 503}
