"""Originals in rows of custody: put into the document's text, and taken out again."""

import orjson

from pipeline.redis_client.originals import apart, in_one
from tests.signed_vcons import plain, signed


def test_a_document_and_its_original_come_apart_as_they_were() -> None:
    """One without an original is not touched."""
    document = orjson.dumps(plain(subject='"é'))
    original = orjson.dumps(signed(), option=orjson.OPT_INDENT_2)
    assert apart(in_one(document, original)) == (document, original)
    assert in_one(document, b"") == document
    assert apart(document) == (document, b"")
