"""The header `traceparent` by W3C Trace Context, and vcon-server's form of it."""

import json

import pytest

from core.observability.tracing import caller_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"01-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-adds", 1),
    ],
)
def test_valid_headers(header: str, flags: int) -> None:
    """The example of the recommendation, and later versions, which may be longer."""
    caller = caller_of(header)
    assert caller is not None
    assert json.loads(caller.context) == {
        "trace_id": TRACE,
        "span_id": SPAN,
        "trace_flags": flags,
        "is_sampled": bool(flags & 1),
    }


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        "-" * 60_000,
    ],
)
def test_what_is_not_valid_is_none(header: str | None) -> None:
    """The request is served all the same."""
    assert caller_of(header) is None
