"""The settings in groups; `core.settings.Settings` inherits them all."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

_USED_HEADERS = re.compile(
    "connection|content-(encoding|length|type)|expect|host|idempotency-key|ingress_lists?|origin"
    "|keep-alive|te|traceparent|trailer|transfer-encoding|upgrade|x-hub-signature-256",
    re.IGNORECASE,
)
"""Headers of the HTTP API's requests that cannot hold a token as well."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


class LimitSettings(BaseModel):
    """Limits on what clients can use of the service process."""

    health_max_connections: int = Field(
        64,
        ge=1,
        description="Connections to the health port; one more takes the longest idle one's place.",
    )
    health_header_timeout: float = Field(
        5.0, gt=0, description="Seconds for a request's head there, and for taking its answer."
    )
    health_header_bytes: int = Field(
        16_384, ge=256, le=1_048_576, description="Longest head of a request there."
    )
    reply_twice_bytes: int = Field(
        65_536,
        ge=0,
        description="With REPLY_FORMAT `auto`: bytes of a result of RunTask or RunFlow that is "
        "sent as the message and as the fields; a larger one is sent once, as the message.",
    )
    max_request_memory: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of memory, once parsed, of requests that run or wait; beyond, 503.",
    )
    large_document_seconds: float = Field(
        20.0, gt=0, description="Seconds that reading one large vCon may take; then 413."
    )
    large_document_memory: int = Field(
        4 * 1024 * 1024 * 1024,
        ge=512 * 1024 * 1024,
        description="Address space of the process that reads large vCons, bytes; then 413 or 503.",
    )
    max_unread_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of answers that the Plugboard does not read, or that wait for a join.",
    )
    max_handover_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of answers that a leaving replica keeps for its peers; beyond, 503.",
    )


OWN_SECRETS = (
    "TOKEN",
    "POSTGRES_PASSWORD",
    "CONSERVER_API_TOKEN",
    "CONSOLE_PASSWORD",
    "CONSOLE_READ_PASSWORD",
)
"""Variables withheld from workers and plugins, unless the configuration refers to them."""

INDEX_SECRETS = ("INDEX_SECRET", "INDEX_SECRETS_EARLIER")
"""Withheld from both without exception: only the service writes the index of vCons."""


class KeySettings(BaseModel):
    """Ingress keys and their rates, and the withheld secrets."""

    require_ingress_key: bool = Field(False, description="IngestVcon asks for an ingress key too.")
    plugin_secrets: str = Field(
        "",
        description="Those of TOKEN, POSTGRES_PASSWORD, CONSERVER_API_TOKEN, CONSOLE_PASSWORD and "
        "CONSOLE_READ_PASSWORD that plugins may read, with commas.",
    )
    core_dumps: bool = Field(
        False, description="A process that crashes may leave its memory on the disk."
    )
    allow_weak_keys: bool = Field(
        False, description="Keys in config.yml may have fewer than 16 characters; for development."
    )
    revoked_key_seconds: float = Field(
        60.0,
        ge=1,
        description="Seconds that a revoked key works at most, also if Postgres is away then.",
    )
    ingress_key_requests_per_minute: int = Field(
        6000,
        ge=0,
        le=100_000,
        description="Requests of a key and its rotations a minute, if it has no limit; 0: any.",
    )
    failed_keys_per_minute: int = Field(
        300,
        ge=0,
        description="Wrong keys a minute for one list and replica, then 429; 0: any number.",
    )

    @field_validator("plugin_secrets")
    @classmethod
    def _are_own_secrets(cls, value: str) -> str:
        if unknown := sorted(_names(value) - set(OWN_SECRETS)):
            msg = f"must name {' or '.join(OWN_SECRETS)}, not {', '.join(unknown)}"
            raise ValueError(msg)
        return value

    @property
    def withheld(self) -> frozenset[str]:
        """The variables withheld from workers and plugins."""
        return frozenset((*OWN_SECRETS, *INDEX_SECRETS)) - _names(self.plugin_secrets)


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}


class ApiSettings(BaseModel):
    """The HTTP API of vcon-server, and what its clients can use of this process.

    Names that vcon-server reads as well keep vcon-server's name and meaning.
    """

    api_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of the HTTP API: `serve` serves it too; `api` takes 8000 if unset.",
    )
    api_host: str = Field("0.0.0.0", description="Address that the HTTP API listens on.")  # noqa: S104 -- clients of a container come from outside
    api_root_path: str = Field(
        "/api", description="Prefix of the HTTP API's paths; each path answers without it, too."
    )
    conserver_header_name: str = Field(
        "x-conserver-api-token",
        description="Header of the HTTP API that holds the token or a partner's key.",
    )
    conserver_api_token: SecretStr | None = Field(
        None, description="A token that opens the HTTP API."
    )
    conserver_api_token_file: Path | None = Field(
        None, description="File with more such tokens, one a line; read at the start."
    )
    api_open: bool = Field(
        False, description="Serve the HTTP API without any token; without this, it needs one."
    )
    api_any_list: bool = Field(
        False,
        description="The HTTP API takes lists that no chain reads, as vcon-server does; else 404.",
    )
    api_cors_origins: str = Field(
        "*",
        description="Origins of browsers that may use the HTTP API, with commas; `*`: any; empty: "
        "none.",
    )
    api_rate_limited_status: Literal["429", "503"] = Field(
        "429",
        description="Status there beyond a key's limit of requests; 503 for partners whose client "
        "gives a vCon up for good after 429.",
    )
    api_access_log: bool = Field(False, description="Log each request of the HTTP API.")
    api_max_connections: int = Field(
        1000,
        ge=1,
        description="Connections to the HTTP API; one more takes the longest idle one's place.",
    )
    api_max_concurrency: int = Field(
        64, ge=1, description="Requests that the HTTP API works on at once; others wait, then 503."
    )
    api_max_request_memory: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of bodies that the HTTP API holds at once; beyond, 503; and of answers "
        "that clients do not take; beyond, the connection is closed.",
    )
    api_max_head_bytes: int = Field(
        65_536, ge=1024, le=1_048_576, description="Longest head of a request there; then 431."
    )
    api_head_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds for the head of a request there, and between two pieces of its body.",
    )
    api_body_seconds: float = Field(
        60.0, gt=0, description="Seconds for a body there, and for taking an answer; then 503."
    )
    api_keep_alive_seconds: float = Field(
        75.0, gt=0, description="Seconds that an idle connection there stays open."
    )
    vcon_server_version: str = Field(
        "dev", description="The version that the HTTP API reports at /version and in a header."
    )
    vcon_server_git_commit: str = Field("unknown", description="The commit reported there.")
    vcon_server_build_time: str = Field("unknown", description="The time of its build there.")

    @field_validator("conserver_api_token")
    @classmethod
    def _is_one_line(cls, value: SecretStr | None) -> SecretStr | None:
        token = value.get_secret_value().strip() if value else "-"
        if not token or not token.isprintable():
            msg = "must be one line without control characters"
            raise ValueError(msg)
        return SecretStr(token) if value else None

    @field_validator("conserver_header_name")
    @classmethod
    def _is_a_header(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", value):
            msg = "must be the name of a header: letters, digits and hyphens"
            raise ValueError(msg)
        if _USED_HEADERS.fullmatch(value):
            msg = f"{value} has another meaning in requests; name another header"
            raise ValueError(msg)
        return value

    @field_validator("api_cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for each in filter(None, map(str.strip, value.split(","))):
            if each not in ("*", "null") and not _ORIGIN.fullmatch(each):
                msg = f"{each} is not what browsers send, such as https://app.example.com or "
                msg += "http://localhost:3000: lower case, without a path or slash at the end"
                raise ValueError(msg)
        return value

    @field_validator("api_root_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not path.startswith("/"):
            msg = "must begin with /"
            raise ValueError(msg)
        return path


MIB = 1024 * 1024


class PluginSettings(BaseModel):
    """Limits on the work of built-in plugins for one vCon."""

    index_terms: int = Field(
        200, ge=1, le=1000, description="Search terms of one vCon that are indexed, at most."
    )
    index_term_length: int = Field(
        200, ge=1, description="Characters of a value that is indexed; longer ones are not."
    )
    fetch_requests: int = Field(
        1000, ge=1, description="URLs that one link may ask for one vCon, redirects included."
    )
    fetch_bytes: int = Field(
        1024 * MIB, ge=1, description="Bytes that one link may fetch for one vCon."
    )
    fetch_seconds: float = Field(
        240.0, gt=0, description="Seconds that one link may spend fetching for one vCon."
    )
    fetch_host_seconds: float = Field(
        120.0, gt=0, description="Seconds of these that one host may take."
    )
    ffmpeg_seconds: float = Field(
        300.0, gt=0, description="Seconds that one look of ffmpeg at a recording may take."
    )
    ffmpeg_memory: int = Field(
        1024 * MIB, ge=256 * MIB, description="Bytes of memory that ffmpeg may have."
    )
    jq_seconds: float = Field(
        10.0, gt=0, description="Seconds that the filter of links.jq_link may take for one vCon."
    )
    jq_memory: int = Field(512 * MIB, ge=128 * MIB, description="Bytes of memory that it may have.")


class RetentionSettings(BaseModel):
    """How many days rows stay in Postgres, except the run history."""

    audit_retention_days: int = Field(
        0, ge=0, description="Days an audit event stays in Postgres; 0 keeps it."
    )
    usage_retention_days: int = Field(
        400, ge=0, description="Days that the usage of ingress keys stays in Postgres; 0 keeps it."
    )
    owner_retention_days: int = Field(
        0, ge=0, description="Days that it is known who brought a vCon in; 0 keeps it."
    )
    key_retention_days: int = Field(
        400,
        ge=0,
        description="Days a dead ingress key, token or service stays in Postgres; 0 keeps it.",
    )

    @property
    def retention_days(self) -> dict[str, int]:
        """Days by table, without the run history."""
        dead = dict.fromkeys(("ingress_keys", "tokens", "services"), self.key_retention_days)
        return dead | {
            "vcon_owners": self.owner_retention_days,
            "ingress_usage": self.usage_retention_days,
            "audit_events": self.audit_retention_days,
        }


class TelemetrySettings(BaseModel):
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


class WorkerSettings(BaseModel):
    """Limits on what one vCon can do to others of its process, and on worker processes."""

    blocked_loop_warning: float = Field(
        5.0,
        gt=0,
        description="Seconds a worker's event loop stands still until that is reported.",
    )
    blocked_loop_limit: float = Field(
        60.0,
        gt=0,
        description="Seconds until that ends the attempt, where the step has no `timeout`.",
    )
    stalled_worker_limit: float | None = Field(
        None,
        gt=0,
        description="Seconds without any progress until a worker is killed; unset: LEASE_SECONDS.",
    )
    frozen_service_limit: float = Field(
        60.0,
        gt=0,
        description="Seconds a plugin may hold the service's interpreter until the process ends.",
    )
    progress_fd: int | None = Field(
        None, ge=3, description="Where a worker shows its progress; the service sets it."
    )
    postgres_password_fd: int | None = Field(
        None,
        ge=3,
        description="Where a worker reads the password of Postgres, with `CUSTODY=postgres`; the "
        "service sets it.",
    )
    replica_id: str = Field(
        "", description="The replica that a worker belongs to; the service sets it for its own."
    )
    suspect_workers: int = Field(
        3,
        ge=1,
        description="Most processes, beside the workers, for vCons that may have killed a worker.",
    )
    max_abandoned_calls: int = Field(
        100,
        ge=1,
        description="Plugin calls that run on after their time; at so many the worker is replaced.",
    )
    suspect_wait: float = Field(
        30.0,
        gt=0,
        description="Seconds such a vCon waits for a process of its own until there is one more.",
    )
