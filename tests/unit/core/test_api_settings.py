"""Settings of the HTTP API that are not valid are told in words."""

import pytest
from pydantic import ValidationError

from tests.unit.support.settings_of_the_api import settings_with


@pytest.mark.parametrize("name", ["", "my header", "x:y", "x\ny", "tökèn", "x" * 101])
def test_the_header_is_a_name_of_a_header(name: str) -> None:
    """Another name could not be sent."""
    with pytest.raises(ValidationError, match="must be the name of a header"):
        settings_with(conserver_header_name=name)


@pytest.mark.parametrize(
    ("given", "used"), [("/api/", "/api"), ("/", ""), ("", ""), ("/a/b", "/a/b")]
)
def test_the_prefix_has_no_slash_at_its_end(given: str, used: str) -> None:
    """Paths are appended to it."""
    assert settings_with(api_root_path=given).api_root_path == used


def test_a_prefix_begins_with_a_slash() -> None:
    """It is a path."""
    with pytest.raises(ValidationError, match="must begin with /"):
        settings_with(api_root_path="api")
