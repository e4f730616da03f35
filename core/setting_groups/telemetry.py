"""The settings of OpenTelemetry."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator


class TelemetrySettings(BaseModel, defer_build=True):
    """The settings of OpenTelemetry that this service reads."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="OTLP over HTTP, such as http://collector:4318; unset: nothing is sent."
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers for it, `name=value,...`; keys in them are never logged."
    )
    otel_exporter_otlp_protocol: str = Field(
        "http/protobuf",
        description="Only `http/protobuf` is spoken; with another one the start warns and uses it.",
    )
    otel_traces_exporter: Literal["otlp", "none"] = Field("otlp", description="Whether to trace.")
    otel_metrics_exporter: Literal["otlp", "none"] = Field(
        "otlp", description="Whether to send metrics."
    )
    otel_metric_export_interval: int = Field(
        60_000, gt=0, description="Milliseconds between two sendings of metrics."
    )
    otel_service_name: str = Field("patchcord", description="What traces and metrics are from.")

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value is not None and not (parts.scheme in ("http", "https") and parts.hostname):
            msg = "must begin with http:// or https:// and name a host"
            raise ValueError(msg)
        return value

    @property
    def otlp_header_values(self) -> list[str]:
        """The values of the headers, which are never logged."""
        pairs = self.otel_exporter_otlp_headers
        items = pairs.get_secret_value().split(",") if pairs else []
        return [value.strip() for _, _, value in (item.partition("=") for item in items)]
