"""Fields of a form that was sent, and of a query string: both bounded."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from core.concurrency.thread_pool import in_own_thread
from core.errors import InvalidError
from http_api.request import Request

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 50
MOST_FORM_BYTES = 64 * 1024
"""Bytes of a form, unless its page takes a file's content."""


async def read_form(request: Request[Any], most_bytes: int) -> dict[str, str]:
    """The fields of a request's body; of a repeated one the last.

    Raises:
        InvalidError: it is no form, no UTF-8, or has too many fields.
        TooLargeError: it is larger than `most_bytes`.
    """
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise InvalidError(f"The body must be {FORM}, as a browser sends a form")
    content = (await request.received(most_bytes)).content
    if len(content) <= MOST_FORM_BYTES:
        return fields_of(content)
    return await in_own_thread(fields_of, content)  # 4 MB take 0.4 s


def fields_of(text: bytes) -> dict[str, str]:
    """The fields of a query string or form.

    Raises:
        InvalidError: it is no UTF-8, or has too many fields.
    """
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        msg = f"A form has at most {MOST_FIELDS} fields, with values in UTF-8"
        raise InvalidError(msg) from None
    return dict(pairs)


def chosen(fields: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those of these fields that are not empty."""
    return {name: fields[name].strip() for name in names if fields.get(name, "").strip()}
