"""The address of Redis, and what the environment may say about the way there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from core.errors import ConfigurationError
from core.setting_groups.addresses import read_address
from core.settings import ServiceSettings, Settings, load_settings
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import server_of
from tests.unit.app.test_settings import PIPELINE, REQUIRED

type Load = Callable[..., Settings]
SENTINELS = "redis+sentinel://u:s3cret@h:26379,[::1]:26380,g/mymaster/2"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads settings from an environment of the required variables and these."""

    def load_from(**variables: str) -> Settings:
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in (REQUIRED | PIPELINE | variables).items():
            monkeypatch.setenv(name, value)
        return load_settings(ServiceSettings)

    return load_from


def problems(load: Load, **variables: str) -> list[str]:
    """The lines that an operator sees."""
    with pytest.raises(ConfigurationError) as raised:
        load(**variables)
    return raised.value.problems


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:6379", "must begin with redis:// or rediss:// or unix:// or redis+sentinel://"),
        ("redis://", "must name a host"),
        ("redis://:s3/cret@localhost", "must name a host"),
        ("redis://:s3#cret@localhost", "must not hold a #"),
        ("redis://:s3[cret@localhost", "is no URL"),
        ("redis+sentinel://:s3#cret@h/mymaster", "must not hold a #"),
        ("redis+sentinel://:s3/cret@h/mymaster", "must name each sentinel"),
        ("redis+sentinel://:s3cret@/mymaster/0", "must name 1 to 32 sentinels"),
        (f"redis+sentinel://{33 * 'h,'}/mymaster", "must name 1 to 32 sentinels"),
        ("redis+sentinel://:s3cret@h", "must name the primary"),
        ("redis+sentinel://:s3cret@h/", "must name the primary"),
        ("redis+sentinel://:s3cret@h//0", "must name the primary"),
        ("redis+sentinel://:s3cret@h/mymaster/one", "must end with the number of a database"),
        ("redis+sentinel://:s3cret@h/mymaster/-1", "must end with the number of a database"),
        ("redis+sentinel://:s3cret@h/mymaster/0/1", "must end with the number of a database"),
        ("redis+sentinel://:s3cret@h/mymaster/99999999999", "must end with the number"),
        ("redis+sentinel://:s3cret@h/mymaster?db=1", "must end with the number of a database"),
        ("redis+sentinel://:s3cret@h:70000/mymaster", "must name each sentinel"),
        ("redis+sentinel://:s3cret@h:0/mymaster", "must name each sentinel"),
        ("redis+sentinel://:s3cret@h:s3/mymaster", "must name each sentinel"),
        ("redis+sentinel://:s3cret@h,:26379/mymaster", "must name each sentinel"),
    ],
)
def test_a_wrong_redis_url_is_not_quoted(url: str, complaint: str, load: Load) -> None:
    """What is said about a URL repeats nothing of it, since a password may be in it."""
    [line] = problems(load, REDIS_URL=url)
    assert line.startswith(f"REDIS_URL: {complaint}")
    assert "s3" not in line


@pytest.mark.parametrize(
    "url",
    [
        *("rediss://h:6380/1", "unix:///run/redis.sock?db=1", "redis://h"),
        *(SENTINELS, "rediss+sentinel://h/mymaster"),
    ],
)
def test_every_kind_of_redis_url_is_taken(url: str, load: Load) -> None:
    """TLS, Unix sockets, default ports and sentinels are fine."""
    settings = load(REDIS_URL=url)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://u:s3cret@h", "h:6379"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        (SENTINELS, "mymaster of the sentinels h:26379, ::1:26380, g:26379"),
        ("redis://[s3cret", "an address that cannot be read"),
    ],
)
def test_what_is_told_of_an_address(url: str, told: str) -> None:
    """Where it leads to, without the password."""
    assert server_of(url) == told


def test_an_address_of_sentinels_keeps_its_account() -> None:
    """User, password, database and options are those of Redis; the sentinels have their own."""
    address = read_address(f"{SENTINELS}?health_check_interval=5")
    assert address.sentinels == (("h", 26379), ("::1", 26380), ("g", 26379))
    assert address.plain_url == "redis://u:s3cret@sentinels/2?health_check_interval=5"
    assert "s3cret" not in f"{address} {address!r}"


def test_passwords_are_known_to_be_secret(load: Load) -> None:
    """Both are left out of the log, decoded."""
    url = "redis+sentinel://:p%40ss@h,g/mymaster"
    settings = load(REDIS_URL=url, REDIS_SENTINEL_PASSWORD="sentin3ls")
    assert {"p@ss", "sentin3ls"} < set(settings.secrets)
    assert "sentin3ls" not in f"{settings!r} {settings}"


def test_the_file_of_certificates_is_looked_at(load: Load, tmp_path: Path) -> None:
    """It must be one that TLS can use, and TLS must be used."""
    text, bundle = tmp_path / "text.pem", tmp_path / "ca.pem"
    text.write_text("text")
    trustme.CA().cert_pem.write_to_path(str(bundle))
    for file, complaint in (
        (tmp_path / "none", "is no file"),
        (tmp_path, "is no file"),
        (text, "has no certificates in PEM"),
    ):
        told = problems(load, REDIS_URL="rediss://h", REDIS_CA_FILE=str(file))
        assert told == [f"REDIS_CA_FILE: {file} {complaint}"]
    for url in ("rediss://h", "rediss+sentinel://h/mymaster"):
        assert load(REDIS_URL=url, REDIS_CA_FILE=str(bundle)).redis_ca_file == bundle
    assert problems(load, REDIS_CA_FILE=str(bundle)) == [
        "REDIS_URL: must begin with rediss for REDIS_CA_FILE, which is of TLS"
    ]


@pytest.mark.parametrize("url", ["redis://h", "redis+sentinel://h/mymaster"])
def test_an_unknown_option_is_named(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also one that is of TLS, in an address without it."""
    with caplog.at_level(logging.DEBUG):
        for option in ("sokcet_timeout=3", "ssl_ca_certs=/ca.pem"):
            name = option.partition("=")[0]
            with pytest.raises(ValueError, match=f"has the option {name}, which is unknown"):
                RedisConnection(f"{url}?{option}")
