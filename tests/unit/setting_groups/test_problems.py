"""A wrong variable is named as it is written, with all that it may be."""

import pytest

from core.errors import ConfigurationError
from core.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CONSERVER_VCON_CONCURRENCY", "abc", "valid integer"),
        ("CONSERVER_VCON_CONCURRENCY", "0", "greater than or equal to 1"),
        ("DYNAMIC_INSTALL", "perhaps", "any"),
    ],
)
def test_a_choice_of_types_has_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """Not one with the name of a type behind the variable's for each."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as raised:
        load_settings(Settings)
    [problem] = [each for each in raised.value.problems if each.startswith(variable)]
    assert problem.startswith(f"{variable}: ")
    assert said in problem
    assert "auto" in problem or "any" in problem
    assert "abc" not in problem
