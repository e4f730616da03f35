"""The settings of the HTTP API."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

_USED_HEADERS = re.compile(
    "connection|content-(encoding|length|type)|expect|host|idempotency-key|ingress_lists?|origin"
    "|keep-alive|te|traceparent|trailer|transfer-encoding|upgrade|x-hub-signature-256",
    re.IGNORECASE,
)
"""Headers of the HTTP API's requests that cannot hold a token as well."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


class ApiSettings(BaseModel, defer_build=True):
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
