"""The settings of the index: refused where they cannot work, and never shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import ConfigurationError
from core.setting_groups.operator import OperatorSettings
from pipeline.stored.index import StoredIndex

NOTHING: Any = None


@pytest.mark.parametrize(("given", "region"), [(" de ", "DE"), ("US", "US"), ("gb", "GB")])
def test_a_region_is_a_country(given: str, region: str) -> None:
    """However it is written."""
    settings = OperatorSettings(phone_region=given)
    assert StoredIndex(NOTHING, NOTHING, settings).region == region


@pytest.mark.parametrize("given", ["", "USA", "U1", "ÄÖ", "<b>"])
def test_what_is_no_country_code_is_refused(given: str) -> None:
    """When the settings are read."""
    with pytest.raises(ValidationError, match="phone_region"):
        OperatorSettings(phone_region=given)


@pytest.mark.parametrize("given", ["XX", "ZZ", "EU"])
def test_a_code_without_numbers_is_refused_at_the_start(given: str) -> None:
    """The plans of all countries are known."""
    with pytest.raises(ConfigurationError, match=f"PHONE_REGION: {given}"):
        StoredIndex(NOTHING, NOTHING, OperatorSettings(phone_region=given))


def test_secrets_are_long_and_in_order() -> None:
    """The present one, then the earlier ones; none is in the representation."""
    with pytest.raises(ValidationError, match="at least 16"):
        OperatorSettings.model_validate({"index_secret": "short"})
    values = {"index_secret": "present-" * 3, "index_secrets_earlier": " one ,, two"}
    settings = OperatorSettings.model_validate(values)
    assert settings.index_secrets == ["present-" * 3, "one", "two"]
    assert "one" not in repr(settings.index_secrets_earlier)
    assert OperatorSettings().index_secrets == []
