"""The environment variables that vcon-server reads, and what each of them means here."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from app.vcon_server.findings import Finding, Level

type Verdict = Literal["same", "other meaning", "not needed"]

AREA = "settings"
LEVELS: Mapping[Verdict, Level] = {"same": "ok", "other meaning": "warn", "not needed": "note"}


class Variable(NamedTuple):
    """One variable of vcon-server: what it means here, and what to do if it is set."""

    name: str
    verdict: Verdict
    here: str
    remedy: str = ""


UNUSED = "vcon-server reads it and never uses it; it is no setting here"
VARIABLES = (
    Variable("REDIS_URL", "same", "the Redis with JSON; no default here"),
    Variable("CONSERVER_CONFIG_FILE", "same", "the path of config.yml; no default here"),
    Variable("CONSERVER_API_TOKEN", "same", "a token of the HTTP API"),
    Variable("CONSERVER_API_TOKEN_FILE", "same", "a file with more tokens, one a line"),
    Variable("CONSERVER_HEADER_NAME", "same", "the header with the token or a partner's key"),
    Variable("API_ROOT_PATH", "same", "the prefix of the HTTP API, which also answers without it"),
    Variable("VCON_SORTED_SET_NAME", "same", "the sorted set of all vCons"),
    Variable(
        "CONSERVER_WORKERS",
        "same",
        "processes that run chains, of `serve`; `api` has --workers instead; 0 is refused",
    ),
    Variable(
        "CONSERVER_VCON_CONCURRENCY",
        "same",
        "vCons at once for each process; unset is auto here and 1 there, so set 1 for links that"
        " are not thread-safe",
    ),
    Variable("GROQ_API_KEY", "same", "read by links.groq_whisper without the option API_KEY"),
    Variable("VCON_SERVER_VERSION", "same", "what the HTTP API reports at /version"),
    Variable("VCON_SERVER_GIT_COMMIT", "same", "what the HTTP API reports at /version"),
    Variable("VCON_SERVER_BUILD_TIME", "same", "what the HTTP API reports at /version"),
    Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "same", "where traces and metrics are sent"),
    Variable("OTEL_SERVICE_NAME", "same", "what they are from; default patchcord, not vcon-server"),
    Variable("OTEL_METRIC_EXPORT_INTERVAL", "same", "milliseconds; default 60000 here, 5000 there"),
    Variable(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "other meaning",
        "only http/protobuf is spoken here; vcon-server sends metrics by gRPC in any case",
        "point OTEL_EXPORTER_OTLP_ENDPOINT at the collector's HTTP port, usually 4318",
    ),
    Variable(
        "VCON_REDIS_EXPIRY",
        "other meaning",
        "the time begins when a storage has the vCon and no list or run needs it; vcon-server "
        "begins at ingest, so that vCons in a long queue expire",
    ),
    Variable(
        "VCON_DLQ_EXPIRY",
        "other meaning",
        "the time begins when a dead letter has been taken out of its list; until then it stays. "
        "0 keeps it; in vcon-server 0 leaves the time of VCON_REDIS_EXPIRY running",
    ),
    Variable(
        "EGRESS_FORMAT_VERSION",
        "other meaning",
        "unset is the form 0.4.0-text, as vcon-server stores it; 0.0.1 is the same there; another "
        "value fails at the start here, there when a vCon leaves",
    ),
    Variable(
        "LOG_LEVEL",
        "other meaning",
        "vcon-server ignores it; here it is the least severe line logged",
    ),
    Variable(
        "LOGGING_CONFIG_FILE",
        "other meaning",
        "logging is not configured by a file here",
        "set LOG_LEVEL, and LOG_FORMAT to json or text",
    ),
    Variable(
        "OPENAI_API_KEY",
        "other meaning",
        "each plugin that asks OpenAI uses it where its options have no credentials; in "
        "vcon-server only detect_engagement does",
    ),
    Variable(
        "SENTRY_DSN",
        "other meaning",
        "nothing is sent to Sentry",
        "watch the log lines at ERROR, and traces by OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    Variable(
        "ENV",
        "other meaning",
        "only the name that vcon-server gives to Sentry",
        "ENVIRONMENT=production makes this a production installation",
    ),
    Variable(
        "CONSERVER_START_METHOD", "not needed", "each worker is a process that is started afresh"
    ),
    Variable("CONSERVER_PARALLEL_STORAGE", "not needed", "storages are always written in parallel"),
    Variable(
        "VCON_STORAGE_FALLBACK_ENABLED",
        "not needed",
        "a vCon that is not in Redis is always looked for in the storages",
    ),
    Variable(
        "VCON_INDEX_EXPIRY",
        "not needed",
        "entries of the search index live as long as the vCon, not for 24 hours",
    ),
    Variable("VCON_CONTEXT_EXPIRY", "not needed", "trace contexts live for one day"),
    Variable("DD_API_KEY", "not needed", "nothing is sent to Datadog; use a Datadog Agent by OTLP"),
    Variable("DD_SITE", "not needed", "nothing is sent to Datadog; use a Datadog Agent by OTLP"),
    Variable("DNS_HOST", "not needed", "only vcon-server's installation script reads it"),
    Variable(
        "DNS_REGISTRATION_EMAIL", "not needed", "only vcon-server's installation script reads it"
    ),
    Variable(
        "SXT_API_KEY",
        "other meaning",
        "the API key of storage.spaceandtime, where its option is unset",
    ),
    Variable(
        "SXT_VCON_TABLENAME",
        "other meaning",
        "the table of storage.spaceandtime, where its option is unset",
    ),
    Variable(
        "SXT_VCON_TABLE_WRITE_BISCUI",
        "other meaning",
        "the biscuit of storage.spaceandtime, where its option is unset",
    ),
    Variable("TICK_INTERVAL", "not needed", UNUSED),
    Variable("HOSTNAME", "not needed", UNUSED),
    Variable(
        "DEEPGRAM_KEY",
        "other meaning",
        "the key of links.deepgram_link, where its option is unset; vcon-server never uses it",
    ),
    Variable("WEVIATE_HOST", "not needed", UNUSED),
    Variable("WEVIATE_API_KEY", "not needed", UNUSED),
    Variable("VCON_SORTED_FORCE_RESET", "not needed", UNUSED),
    Variable("UUID8_DOMAIN_NAME", "not needed", UNUSED),
    Variable("VCON_STORAGE", "not needed", UNUSED),
)
SET_BY_THE_SYSTEM = ("HOSTNAME",)
"""Told on the page only: shells and containers set it without the operator."""

NEEDS_PLUGBOARD = ("WEBSOCKET_URL", "TOKEN")
POSTGRES = "Postgres has run history, keys and owners here; vcon-server has no database of its own"
PIPELINE = (
    ("REDIS_URL", "redis://localhost", "REDIS_URL=redis://localhost:6379"),
    ("CONSERVER_CONFIG_FILE", "./example_config.yml", "CONSERVER_CONFIG_FILE=./config.yml"),
)
"""The settings of a pipeline: name, vcon-server's default, and what to write."""
NO_ENVIRONMENT = "unset is test: the database is POSTGRES_DB_TEST, and any module is installed"
PRODUCTION = "ENVIRONMENT=production"
MUST_BE_SET = "must be set"


def of_vcon_server(environ: Mapping[str, str]) -> list[Finding]:
    """A finding for each of vcon-server's variables that is set, never with its value."""
    given = [each for each in VARIABLES if each.name in environ]
    return [
        Finding(AREA, LEVELS[each.verdict], each.name, f"{each.verdict}: {each.here}", each.remedy)
        for each in given
        if each.name not in SET_BY_THE_SYSTEM
    ]


def of_this_service(environ: Mapping[str, str], problems: Sequence[str]) -> list[Finding]:
    """The settings that are missing or refused here; `problems` are those of `load_settings`."""
    missing = [name for name, _, text in map(_parted, problems) if text == MUST_BE_SET]
    wrong = [each for each in map(_parted, problems) if each[2] != MUST_BE_SET]
    findings = [
        Finding(AREA, "stop", name, f"refused here: {text}", f"change or remove {name}")
        for name, _, text in wrong
    ]
    findings += _missing(missing)
    if not environ.get("ENVIRONMENT"):
        findings.append(Finding(AREA, "warn", "ENVIRONMENT", NO_ENVIRONMENT, PRODUCTION))
    findings += [
        Finding(AREA, "stop", name, f"must be set; vcon-server's default is {there}", remedy)
        for name, there, remedy in PIPELINE
        if not environ.get(name)
    ]
    return _once(findings)


def _parted(problem: str) -> tuple[str, str, str]:
    return problem.partition(": ")


def _missing(names: Sequence[str]) -> list[Finding]:
    """One finding for those of Postgres, and one for each other."""
    database = [name for name in names if name.startswith("POSTGRES_")]
    others = [name for name in names if name not in (*database, *NEEDS_PLUGBOARD)]
    plugboard = [name for name in names if name in NEEDS_PLUGBOARD]
    findings = [Finding(AREA, "stop", name, "missing", f"{name}=...") for name in others]
    if database:
        subject, lines = ", ".join(database), " ".join(f"{name}=..." for name in database)
        findings.append(Finding(AREA, "stop", subject, f"missing: {POSTGRES}", lines))
    if plugboard:
        text = "not set: `serve` needs it to offer actions at a Plugboard, `api` does not"
        findings.append(Finding(AREA, "note", ", ".join(plugboard), text))
    return findings


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for each name, the first."""
    by_name: dict[str, Finding] = {}
    for finding in findings:
        by_name.setdefault(finding.subject, finding)
    return list(by_name.values())
