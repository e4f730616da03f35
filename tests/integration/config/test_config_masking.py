"""Masks for the secrets of a configuration, and their values again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from core.errors import InvalidError, TooLargeError
from pipeline.config import masking
from pipeline.config.masking import Masks, Unmasking, mask_key

KEY = mask_key("postgres")
TEXT = """
ingress_auth:
  one: key-in-clear-text-1
  many: [key-in-clear-text-2, {key: key-in-clear-text-3, label: Partner, signing_secret: sig-1}]
  odd: 12345678
  filled: ${PARTNER_KEY}
links:
  tag: {module: links.tag, options: {tags: [a, b], api_key: sk-12, prompt: "Say hello: friend"}}
  hook:
    module: links.webhook
    pip_name: git+https://ghp_abcdef@github.com/x/y
    options:
      webhook-urls:
        - https://user:passw0rd@example.com/in
        - https://hooks.example.com/services/T0/B0/0123456789abcdefghij
        - https://example.com/in?token=abcdefgh
        - https://example.com/plain
      headers:
        {Authorization: Bearer abcdefgh, X-Name: "7", Cookie: "Bearer ${COOKIE}", X-A: clear-text}
  deepgram: {module: links.x, options: {DEEPGRAM_KEY: in-clear-text, max_tokens: 500, key: ""}}
  scitt: {module: links.y, options: {signing_key_pem: in-clear-text, authKey: in-clear-text}}
  nested: {module: links.tag, options: {credentials: {user: ann, pin: 1234, on: true, x: null}}}
storages:
  db:
    module: storage.postgres
    options: {password: "${PW}", port: 5432, url: "postgres://u:${PW}@host/db"}
  other: {module: storage.s3, options: {secret: "${S:-in-clear-text}", since: 2026-01-01, 7: .inf}}
chains:
  main: {links: [tag], ingress_lists: [one], enabled: 1}
"""
DOCUMENT = yaml.safe_load(TEXT)
SECRETS = [
    "clear-text",
    "sig-1",
    "12345678",
    "sk-12",
    "ghp_",
    "passw0rd",
    "0123456789abcdefghij",
    "abcdefgh",
    "ann",
    "1234",
]


def masked(document: object = DOCUMENT) -> Any:
    """The document as it is shown, after JSON."""
    return orjson.loads(orjson.dumps(Masks(KEY).document(document)))


def restored(posted: Any, *sources: object, current: object = DOCUMENT) -> Any:
    """The document with the values of the sources' masks."""
    made = [Masks(KEY) for _ in sources]
    for masks, source in zip(made, sources, strict=True):
        masks.document(source)
    return Unmasking(lambda: [masks.values for masks in made]).document(posted, current)


def test_no_secret_is_shown() -> None:
    """By name, as an ingress key, in a URL; at no depth."""
    text = orjson.dumps(masked()).decode()
    assert [secret for secret in SECRETS if secret in text] == []


def test_the_rest_is_shown() -> None:
    """Names, structure, variables and plain values, as clients read them."""
    shown = masked()
    assert shown["chains"] == DOCUMENT["chains"]
    assert shown["links"]["tag"]["options"]["tags"] == ["a", "b"]
    assert shown["links"]["tag"]["options"]["prompt"] == "Say hello: friend"
    assert shown["links"]["hook"]["options"]["webhook-urls"][3] == "https://example.com/plain"
    headers = shown["links"]["hook"]["options"]["headers"]
    assert (headers["X-Name"], headers["Cookie"]) == ("7", "Bearer ${COOKIE}")
    assert shown["links"]["deepgram"]["options"] | {"DEEPGRAM_KEY": 0} == {
        "DEEPGRAM_KEY": 0,
        "max_tokens": 500,
        "key": "",
    }
    assert shown["links"]["nested"]["options"]["credentials"] | {"user": 0, "pin": 0} == {
        "user": 0,
        "pin": 0,
        "true": True,
        "x": None,
    }
    options = shown["storages"]["db"]["options"]
    assert options == DOCUMENT["storages"]["db"]["options"]
    assert shown["ingress_auth"]["filled"] == "${PARTNER_KEY}"
    assert shown["ingress_auth"]["many"][1]["label"] == "Partner"
    assert shown["storages"]["other"]["options"]["since"] == "2026-01-01"


def test_what_comes_back_unchanged_is_unchanged() -> None:
    """Also dates, numbers as keys, and infinity."""
    assert repr(restored(masked(), DOCUMENT)) == repr(DOCUMENT)


def test_a_mask_stands_for_its_value_wherever_it_is() -> None:
    """Entries were taken out before it, and it was copied."""
    shown = masked()
    shown["ingress_auth"]["new"] = shown["ingress_auth"]["many"].pop(0)
    del shown["links"]["hook"]
    found = restored(shown, DOCUMENT)
    assert found["ingress_auth"]["new"] == "key-in-clear-text-2"
    assert found["ingress_auth"]["many"] == DOCUMENT["ingress_auth"]["many"][1:]


def test_a_value_that_has_changed_is_not_taken_for_another() -> None:
    """The file has another key in that place by now: an older source has the value, or no one."""
    shown = masked({"ingress_auth": {"in": "older-key-of-a-partner"}})
    newer = {"ingress_auth": {"in": "newer-key-of-a-partner"}}
    with pytest.raises(InvalidError) as refused:
        restored(shown, newer, current=newer)
    assert refused.value.problems == [
        "ingress_auth.in: the value of this mask is not known; give the value itself"
    ]
    older = {"links": {"x": {"secret": "older-key-of-a-partner"}}}
    assert restored(shown, newer, older, current=newer) == {
        "ingress_auth": {"in": "older-key-of-a-partner"}
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: {"links": {mask: {}}},
        lambda mask: {"links": {"a": f"postgres://u:{mask}@host"}},
        lambda mask: {"links": [mask.replace(mask[10:14], "0000")]},
    ],
)
def test_a_mask_in_a_place_of_its_own(change: Any) -> None:
    """Never is a mask written into the file."""
    mask = masked()["ingress_auth"]["one"]
    with pytest.raises(InvalidError):
        restored(change(mask), DOCUMENT)


def test_all_masks_without_a_value_are_told() -> None:
    """Each with its place."""
    posted = {"links": {"a": "[redacted 000000000000]", "b": ["[redacted 00000000000a]"]}}
    with pytest.raises(InvalidError) as refused:
        restored(posted, DOCUMENT)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "links.a",
        "links.b[0]",
    ]


def test_masks_of_another_key() -> None:
    """Without the key no value can be tried; the same value has the same mask."""
    assert masked()["ingress_auth"]["one"] == masked()["ingress_auth"]["one"]
    other = Masks(mask_key("other")).document(DOCUMENT)
    assert other["ingress_auth"]["one"] != masked()["ingress_auth"]["one"]


def test_a_document_that_expands(monkeypatch: Any) -> None:
    """Aliases make a small file large; it is not shown."""
    monkeypatch.setattr(masking, "MOST_VALUES", 1000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 4)]
    with pytest.raises(TooLargeError):
        masked(yaml.safe_load("\n".join(lines)))
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(TooLargeError):
        masked({"x-deep": deep})
