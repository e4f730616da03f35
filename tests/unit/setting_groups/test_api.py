"""Settings of the HTTP API that are not valid are told in words."""

import pytest
from pydantic import ValidationError

from tests.unit.support.settings_of_the_api import settings_with


@pytest.mark.parametrize("name", ["", "my header", "x:y", "x\ny", "tökèn", "x" * 101])
def test_the_header_is_a_name_of_a_header(name: str) -> None:
    """Another name could not be sent."""
    with pytest.raises(ValidationError, match="must be the name of a header"):
        settings_with(conserver_header_name=name)


@pytest.mark.parametrize("name", ["Content-Length", "host", "Idempotency-Key", "ingress_list"])
def test_the_header_has_no_other_meaning(name: str) -> None:
    """With such a one, every request would be refused or misread."""
    with pytest.raises(ValidationError, match="name another header"):
        settings_with(conserver_header_name=name)


@pytest.mark.parametrize("name", ["Authorization", "x-conserver-api-token", "X_Key"])
def test_other_headers_can_hold_the_token(name: str) -> None:
    """Also one that proxies know."""
    assert settings_with(conserver_header_name=name).conserver_header_name == name


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com/",
        "https://app.example.com/page",
        "https://App.example.com",
        "https://*.example.com",
        "app.example.com",
        "https://a.example https://b.example",
        "https://user@app.example.com",
        "https://",
    ],
)
def test_an_origin_that_no_browser_sends(origin: str) -> None:
    """It would match nothing, and only the browser would tell."""
    with pytest.raises(ValidationError, match="is not what browsers send") as refused:
        settings_with(api_cors_origins=f"https://good.example, {origin}")
    assert origin in str(refused.value)


@pytest.mark.parametrize(
    "origins",
    ["*", "", " , ", "null", "https://a.example,http://localhost:3000, http://[::1]:80", "app://x"],
)
def test_origins_that_browsers_send(origins: str) -> None:
    """Several have commas between them."""
    assert settings_with(api_cors_origins=origins).api_cors_origins == origins


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
