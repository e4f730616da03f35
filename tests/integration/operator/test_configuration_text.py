"""Reading a configuration that is given as a text."""

from __future__ import annotations

import pytest

from core.environment import give_back, withhold
from core.settings import Settings
from pipeline.operator.configuration_text import SMALL, read_text

SETTINGS = Settings.model_construct(
    config_strict=False,
    allow_weak_keys=False,
    large_document_seconds=60.0,
    large_document_memory=4 * 1024**3,
)


async def test_own_secrets_are_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that names a variable that the service withholds is refused, others are filled."""
    monkeypatch.setenv("OWN_SECRET", "the-secret-of-the-service")
    monkeypatch.setenv("OTHER", "x")
    text = "links: {tag: {module: links.tag, options: {tags: ['${OWN_SECRET}', '${OTHER}']}}}"
    withhold(["OWN_SECRET"])
    try:
        refused = await read_text(text, SETTINGS)
        read = await read_text(text.replace("OWN_SECRET", "OTHER"), SETTINGS)
    finally:
        give_back(["OWN_SECRET"])
    assert refused.config is None
    assert refused.problems == [
        "OWN_SECRET: it is the service's own secret, and was not named before"
    ]
    assert read.config is not None
    assert read.config.links["tag"].plugin.options == {"tags": ["x", "x"]}


async def test_a_large_text_is_parsed_in_another_process() -> None:
    """The result is the same; so are problems."""
    filler = "#" * SMALL
    good = await read_text(f"links: {{tag: {{module: links.tag}}}}\n{filler}", SETTINGS)
    bad = await read_text(f"chains: {{main: {{links: [tag]}}}}\n{filler}", SETTINGS)
    assert good.config is not None
    assert list(good.config.links) == ["tag"]
    assert bad.config is None
    assert bad.problems[0].startswith("chains.main.links[0]: no link named 'tag'")


async def test_a_large_text_has_limits_of_time() -> None:
    """The text takes longer than it may."""
    settings = SETTINGS.model_copy(update={"large_document_seconds": 0.001})
    read = await read_text("- a\n" * SMALL, settings)
    assert "takes longer than 0.001 s (LARGE_DOCUMENT_SECONDS)" in read.problems[0]


async def test_half_a_surrogate_pair() -> None:
    """Text of JSON may hold one; YAML refuses it."""
    assert "is not valid YAML" in (await read_text("a: \ud800", SETTINGS)).problems[0]
