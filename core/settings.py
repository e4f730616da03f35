"""All settings of the service, read from the environment.

A field's name in capitals is its environment variable. `docs/settings.md` is generated from here.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.environment import environment
from core.errors import ConfigurationError
from core.secrets.api_tokens import secret_tokens
from core.secrets.console_passwords import secret_passwords
from core.setting_groups.addresses import checked_url, password_of, read_address
from core.setting_groups.api import ApiSettings
from core.setting_groups.console import ConsoleSettings
from core.setting_groups.custody import CustodySettings
from core.setting_groups.keys import KeySettings
from core.setting_groups.law import LawSettings
from core.setting_groups.limits import LimitSettings
from core.setting_groups.media import MediaSettings
from core.setting_groups.operator import OperatorSettings
from core.setting_groups.plugins import PluginSettings
from core.setting_groups.problems import problems
from core.setting_groups.redis import RedisSettings
from core.setting_groups.retention import RetentionSettings
from core.setting_groups.telemetry import TelemetrySettings
from core.setting_groups.worker import WorkerSettings

MIB = 1024 * 1024
_SWITCH = TypeAdapter(bool)
LOG_LEVEL_NAMES = {"WARN": "WARNING", "FATAL": "ERROR", "CRITICAL": "ERROR", "NOTSET": "DEBUG"}
"""Other names of log levels; nothing is logged above ERROR."""
NOT_GIVEN = "not-given-to-workers"
API_MARKS = ("API_PORT", "API_OPEN", "CONSERVER_API_TOKEN", "CONSERVER_API_TOKEN_FILE")
"""One of these is set where the HTTP API is served."""
PLUGBOARD_TIMEOUT = 30.0
"""Seconds after which the Plugboard answers the caller 408."""


class DatabaseSettings(BaseSettings):
    """The settings of Postgres; the Alembic command line needs no others."""

    model_config = SettingsConfigDict(
        defer_build=True,  # of the classes in this file, a process uses one
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # errors must not repeat the password
    )

    environment: Literal["development", "test", "production"] = Field(
        "test", description="Which of the three databases is used; production is never torn down."
    )
    postgres_host: str = Field(description="Database host.")
    postgres_port: int = Field(description="Database port.", ge=1, le=65535)
    postgres_user: str = Field(description="Database user.")
    postgres_password: SecretStr = Field(description="Database password.")
    postgres_db_development: str = Field(description="Database name for development.")
    postgres_db_test: str = Field(description="Database name for test.")
    postgres_db_production: str = Field(description="Database name for production.")
    postgres_sslmode: (
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None
    ) = Field(None, description="TLS to Postgres, as libpq names it; unset means `prefer`.")
    postgres_sslrootcert: str | None = Field(
        None, description="File with the certificates that Postgres' is checked against, or system."
    )
    postgres_statement_timeout: float = Field(
        15.0, gt=0, description="Seconds until Postgres gives a statement up; migrations have none."
    )
    postgres_lock_timeout: float = Field(
        5.0, gt=0, description="Seconds that a statement waits for a lock; migrations wait on."
    )
    postgres_threads: int = Field(
        8, ge=1, le=100, description="Calls to Postgres at once for requests; more wait or get 503."
    )

    @property
    def postgres_database(self) -> str:
        """The database of the chosen environment."""
        return {
            "development": self.postgres_db_development,
            "test": self.postgres_db_test,
            "production": self.postgres_db_production,
        }[self.environment]


class Settings(
    DatabaseSettings,
    RedisSettings,
    TelemetrySettings,
    RetentionSettings,
    WorkerSettings,
    PluginSettings,
    LimitSettings,
    KeySettings,
    ApiSettings,
    OperatorSettings,
    ConsoleSettings,
    CustodySettings,
    MediaSettings,
    LawSettings,
):
    """All settings, from environment variables."""

    websocket_url: str = Field("", description="WebSocket URL of the Plugboard, ws:// or wss://.")
    token: SecretStr = Field(SecretStr(""), description="The service's Plugboard token.")
    migrate_on_start: bool = Field(True, description="Bring the database to the newest revision.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe line that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto` is text on a terminal and JSON lines elsewhere."
    )

    actions: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated names of the actions to publish and to run; empty means all, "
        "`-Name` leaves one out.",
    )
    admin_actions: bool = Field(
        False,
        description="Run the administrative actions, too: keys, audit, deleting, replaying. "
        "`Admin` is published for them all; those that ACTIONS names are published themselves.",
    )
    reply_format: Literal["auto", "vera", "message"] = Field(
        "auto", description="What an answer looks like on the wire; see docs/plugboard.md."
    )
    max_concurrency: int = Field(64, ge=1, description="Requests that run at once.")
    max_queue: int = Field(256, ge=0, description="Requests that wait; beyond this, 503 at once.")
    allow_long_actions: bool = Field(
        False,
        description="ACTION_TIMEOUT may be above 30 s, when callers have their 408.",
    )
    action_timeout: float = Field(25.0, gt=0, description="Seconds a request may take, then 504.")
    blocking_threads: int = Field(16, ge=1, description="Threads for actions with `def run`.")
    request_line_limit: int = Field(
        9_998, ge=1000, description="Longest handshake line the Plugboard reads, in bytes."
    )
    plugboard_vsn: Literal["1.0.0", "2.0.0"] = Field(
        "2.0.0", description="Phoenix serializer version spoken with the Plugboard."
    )
    max_frame_bytes: int = Field(16 * MIB, ge=MIB, description="Largest WebSocket message read.")
    heartbeat_interval: float = Field(30.0, gt=0, description="Seconds between heartbeats.")
    heartbeat_timeout: float = Field(10.0, gt=0, description="Seconds to wait for their replies.")
    join_timeout: float = Field(10.0, gt=0, description="Seconds to wait for the answer to a join.")
    strict_token: bool = Field(
        False, description="Not ready once the Plugboard says that the token in use was deleted."
    )
    reconnect_min: float = Field(1.0, gt=0, description="First pause before connecting again, s.")
    reconnect_max: float = Field(30.0, gt=0, description="Longest such pause, s.")
    shutdown_grace: float = Field(25.0, ge=0, description="Seconds that running work gets at stop.")
    health_port: int | None = Field(
        None, ge=0, le=65535, description="Port of /live, /ready, /metrics; unset: none."
    )
    health_host: str = Field("0.0.0.0", description="Address the health port listens on.")  # noqa: S104 -- a container's probe comes from outside

    metrics_folder: Path | None = Field(
        None, description="Where a worker leaves its numbers; the service sets it for its own."
    )

    conserver_config_file: Path | None = Field(
        None, description="The pipeline's config.yml; without it this is a pure RPC service."
    )
    config_strict: bool = Field(
        False, description="An unknown key in config.yml is an error, not only a warning."
    )
    config_on_broken: Literal["refuse", "disable"] = Field(
        "refuse",
        description="A chain with a broken plugin: refuse config.yml, or disable that chain alone.",
    )
    dynamic_install: bool | Literal["any"] = Field(
        True,
        description="Install missing modules of config.yml (`pip_name`) when it is loaded; in"
        " production only exact ones, unless `any`.",
    )
    modules_upgrade: bool = Field(
        True, description="Replace what is there when its `pip_name` has changed, at the start."
    )
    modules_dir: Path = Field(Path(".modules"), description="Where they are installed.")
    redis_url: SecretStr | None = Field(
        None,
        description="Redis with JSON: redis://[user:password@]host:port/db, rediss:// with TLS, "
        "or redis+sentinel://[user:password@]host:port,host:port/primary/db.",
    )
    conserver_workers: int = Field(1, ge=1, description="Processes that run chains.")
    conserver_vcon_concurrency: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="vCons at once per process; `auto`: 64, or up to 32 with sync plugins.",
    )
    max_bytes_in_flight: int = Field(
        256_000_000,
        ge=1,
        description="Bytes of the vCons that a process runs at once; a larger one runs alone.",
    )
    max_vcon_bytes: int = Field(8_000_000, ge=1, description="Largest vCon accepted.")
    egress_format_version: Literal["0.4.0-text", "0.4.0", "0.0.1"] = Field(
        "0.4.0-text",
        description="The form in which vCons leave: by GetVcon, webhooks and storages.",
    )
    max_queue_depth: int = Field(
        1_000_000, ge=1, description="Length at which an ingress list answers 503."
    )
    max_runs_per_vcon: int = Field(
        1000, ge=1, le=10_000, description="Requested runs of one vCon that wait at once; then 503."
    )
    vcon_redis_expiry: int = Field(
        3600, ge=0, description="Seconds a vCon stays in Redis once it is stored; 0 keeps it."
    )
    vcon_dlq_expiry: int = Field(
        604_800, ge=0, description="Seconds a dead letter that is stored elsewhere stays; 0 keeps."
    )
    run_expiry: int = Field(3600, ge=60, description="Seconds a finished run stays in Redis.")
    run_history_limit: int = Field(
        200_000,
        ge=1,
        description="Runs that wait in Redis for Postgres; more while Redis has memory.",
    )
    run_retention_days: int = Field(30, ge=1, description="Days a run stays in Postgres.")
    vcon_sorted_set_name: str = Field("vcons", description="Name of the sorted set of all vCons.")
    sweep_interval: float = Field(
        20.0, gt=0, description="Seconds between two looks at what may expire."
    )
    storage_replay_interval: float = Field(
        5.0, gt=0, description="Seconds between two tries of a storage that has dead letters."
    )
    lease_seconds: float = Field(
        9.0, gt=0, description="Seconds without a sign of life until a worker counts as dead."
    )
    allow_private_urls: bool = Field(
        False, description="Plugins may fetch URLs inside vCons from private addresses, too."
    )

    @field_validator("actions", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        name = value.strip().upper() if isinstance(value, str) else value
        return LOG_LEVEL_NAMES.get(name, name) if isinstance(name, str) else name

    @field_validator("dynamic_install", mode="before")
    @classmethod
    def _is_a_switch_or_any(cls, value: object) -> object:
        if isinstance(value, str) and value.strip().lower() == "any":
            return "any"
        try:
            return _SWITCH.validate_python(value)
        except ValidationError:
            msg = "must be true, false or any"
            raise ValueError(msg) from None

    @field_validator("token")
    @classmethod
    def _is_one_word(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            return value  # the default: an empty variable is unset
        token = value.get_secret_value().strip()  # a file often ends with a newline
        if not token or any(character.isspace() for character in token):
            msg = "must be one word: it holds white space, or nothing else"
            raise ValueError(msg)
        return SecretStr(token)

    @field_validator("action_timeout")
    @classmethod
    def _is_in_time_for_the_plugboard(cls, value: float, info: ValidationInfo) -> float:
        if value > PLUGBOARD_TIMEOUT and not info.data.get("allow_long_actions"):
            msg = (
                f"must not be above {PLUGBOARD_TIMEOUT:g}: the Plugboard has answered 408 by then;"
                " ALLOW_LONG_ACTIONS=true allows it"
            )
            raise ValueError(msg)
        return value

    @field_validator("websocket_url")
    @classmethod
    def _is_websocket_url(cls, value: str) -> str:
        if value:
            value = value.strip()
            checked_url(value, "ws", "wss")
        return value

    @field_validator("reconnect_max")
    @classmethod
    def _not_below_the_least(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("reconnect_min", 0):
            msg = "must not be less than RECONNECT_MIN"
            raise ValueError(msg)
        return value

    @field_validator("redis_url")
    @classmethod
    def _pipeline_is_whole(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        file = info.data.get("conserver_config_file", value)  # missing where it is required
        if (value is None) != (file is None):
            msg = "goes together with CONSERVER_CONFIG_FILE: set both for a pipeline, or neither"
            raise ValueError(msg)
        if value is not None:
            url = value.get_secret_value().strip()
            if not read_address(url).uses_tls and info.data.get("redis_ca_file"):
                msg = "must begin with rediss for REDIS_CA_FILE, which is of TLS"
                raise ValueError(msg)
            return SecretStr(url)
        return value

    @property
    def secrets(self) -> list[str]:
        """Values that are never logged; not passwords that equal a user, host or database name."""
        redis = password_of(self.redis_url.get_secret_value() if self.redis_url else "")
        sentinels = self.redis_sentinel_password.get_secret_value()
        media = self.media_s3_secret_access_key.get_secret_value()
        passwords = {self.postgres_password.get_secret_value(), redis, sentinels, media}
        names = {self.postgres_user, self.postgres_host, self.postgres_database, "", NOT_GIVEN}
        doors = {*secret_tokens(self), *secret_passwords(self)}
        own = {self.token.get_secret_value(), *doors} | passwords
        return [*(own - names), *self.otlp_header_values, *self.index_secrets]

    @property
    def stall_limit(self) -> float:
        """Seconds without progress until a worker is killed."""
        return self.stalled_worker_limit or self.lease_seconds

    @property
    def exact_installs(self) -> bool:
        """True if only requirements with an exact version or commit may be installed."""
        return self.environment == "production" and self.dynamic_install != "any"

    @property
    def has_api(self) -> bool:
        """True if a process of this installation serves the HTTP API, as far as is known here."""
        has_token = self.conserver_api_token or self.conserver_api_token_file
        return self.api_port is not None or self.api_open or has_token is not None

    @property
    def has_pipeline(self) -> bool:
        """True if this service runs chains."""
        return self.conserver_config_file is not None


class ServiceSettings(Settings):
    """What `serve` needs: a Plugboard."""

    websocket_url: str
    token: SecretStr


class ApiProcessSettings(Settings):
    """What `api` needs: a pipeline."""

    conserver_config_file: Path
    redis_url: SecretStr
    api_port: int = Field(8000, ge=0, le=65535)


class OperatorProcessSettings(Settings):
    """What the operator's commands need: a pipeline."""

    conserver_config_file: Path
    redis_url: SecretStr


class WorkerProcessSettings(Settings):
    """What a worker needs; secrets of the service are withheld from it."""

    postgres_password: SecretStr = SecretStr(NOT_GIVEN)


def settings_of_installation() -> type[Settings]:
    """The settings that `check` asks for: those of the API, if it is all that is configured."""
    present = {name.upper() for name, value in environment().items() if value}
    is_api_alone = present & set(API_MARKS) and not present & {"WEBSOCKET_URL", "TOKEN"}
    return ApiProcessSettings if is_api_alone else ServiceSettings


def load_settings[S: Settings](needed: type[S]) -> S:
    """Read the settings from the environment; the class says which ones must be set.

    Raises:
        ConfigurationError: variables are missing or invalid, one line for each.
    """
    try:
        return needed()
    except ValidationError as error:  # its text would repeat the values
        raise ConfigurationError(problems(error)) from None
