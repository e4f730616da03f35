"""Variables that look like misspelt settings are told of, by name and without their value."""

import pytest

from app.misspelt_settings import misspelt
from core.settings import Settings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CONSERVER_WORKER", "CONSERVER_WORKERS"),
        ("REDIS_URI", "REDIS_URL"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("POSTGRES_PASSWORT", "POSTGRES_PASSWORD"),
        ("max_queue_dept", "MAX_QUEUE_DEPTH"),
    ],
)
def test_a_name_that_is_nearly_a_settings(name: str, meant: str) -> None:
    """It is named, with the setting that was probably meant."""
    assert misspelt({name: "hidden-word"}) == [f"{name} is not a setting; did you mean {meant}?"]


def test_other_names_are_free() -> None:
    """Settings themselves, vcon-server's, OpenTelemetry's, a database's and numbered ones."""
    others = (
        "VCON_INDEX_EXPIRY VCON_CONTEXT_EXPIRY VCON_STORAGE CONSERVER_API_TOKEN "
        "CONSERVER_HEADER_NAME CONSERVER_START_METHOD CONSERVER_PARALLEL_STORAGE API_ROOT_PATH "
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT OTEL_METRICS_EXPORTERS POSTGRES_DB REDIS_PORT "
        "REDIS_URL_2 HOSTNAME HOME PATH TICK_INTERVAL LOGGING_CONFIG_FILE"
    )
    names = [*others.split(), *(name.upper() for name in Settings.model_fields), "log_level"]
    assert misspelt(dict.fromkeys(names, "x")) == []


@pytest.mark.parametrize("name", ["DD_API_KEY", "DD_SITE"])
def test_datadogs_own_variables_are_told_what_to_set_instead(name: str) -> None:
    """vcon-server sends to Datadog by them; here nothing would be sent."""
    [note] = misspelt({name: "a key"})
    assert note.startswith(f"{name}: nothing is sent to Datadog; set OTEL_EXPORTER_OTLP_ENDPOINT")
    assert "a key" not in note
    assert misspelt({name: "a key", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://agent:4318"}) == []
    assert misspelt({name: "", "ENV_FILE": "x"}) == []
