"""`entrypoint.py check`: checks settings, configuration and servers without starting the service.

A check is a function that returns one line, followed by notes, or raises an error that says what is
wrong, where, and what to do. Settings, configuration, plugins and the health port are checked by
the functions that the start calls, so check and start agree. A check writes nothing, joins no
channel and does not migrate. Missing modules are installed as at the start, within pip's own time
limit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson

from app.health import health_server
from app.misspelt_settings import misspelt
from app.published_actions import published, publishing_url
from core.concurrency.thread_pool import in_own_thread
from core.db.probe import Probe
from core.environment import environment
from core.errors import ConfigurationError, PatchcordError, UnavailableError
from core.observability.logs import keep_secret
from core.plugboard.handshake import check_request_line, request_line_bytes
from core.plugboard.reconnect import CloseKind
from core.plugboard.session import Limits, try_connection
from core.secrets.credentials import Credential, causes_of_refusal
from core.settings import ApiProcessSettings, Settings, load_settings, settings_of_installation
from lib.vcon_server.host import receive_plugins
from pipeline.admin.redis_checks import shortcomings
from pipeline.admin.unread_lists import unread_at_a_glance
from pipeline.config import yaml_file
from pipeline.config.lists import lists_of
from pipeline.config.model import DISABLE
from pipeline.config.parser import PipelineConfig
from pipeline.config.reports import broken_notes, law_notes
from pipeline.live_config import keep_secrets, prepared
from pipeline.redis_client.client import CommandRefused
from pipeline.redis_client.errors import NO_JSON, server_of, with_remedy
from pipeline.redis_client.list_states import state_of
from pipeline.runs.factories import config_path, installer, lenience, redis_connection

type Outcome = Literal["ok", "warn", "failed", "skipped"]
type Clean = Callable[[str], str]
type Check = Callable[[], Awaitable[list[str]]]

HEADINGS = ("check", "outcome", "seconds", "detail")
SECONDS = 15.0
"""Time limit of one check."""
PLUGINS = "plugins"
"""The check without a time limit: the start waits for the installation of modules, too."""
REMEDY = "another program uses this name: rename or remove its key, or choose another name"


class Finding(NamedTuple):
    """The result of one check; `detail` has one line for each problem, or a summary and notes."""

    check: str
    outcome: Outcome
    seconds: float
    detail: Sequence[str]


def all_well(findings: Sequence[Finding]) -> bool:
    """Whether no check failed or was skipped; the service starts then."""
    return all(finding.outcome in ("ok", "warn") for finding in findings)


def as_table(findings: Sequence[Finding], clean: Clean) -> str:
    """The findings in aligned columns; `clean` removes the secrets of each detail."""
    rows = [HEADINGS, *(row for finding in findings for row in _rows(finding, clean))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS) - 1)]
    lines = ("  ".join(_padded(row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding], clean: Clean) -> str:
    """`{"ok": ..., "checks": [{"check", "outcome", "seconds", "detail": [...]}]}`."""
    checks: list[dict[str, Any]] = [
        finding._asdict() | {"detail": [clean(line) for line in finding.detail]}
        for finding in findings
    ]
    report = {"ok": all_well(findings), "checks": checks}
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"


def _rows(finding: Finding, clean: Clean) -> list[tuple[str, ...]]:
    first, *more = [_one_line(clean(line)) for line in finding.detail] or [""]
    seconds = "" if finding.outcome == "skipped" else f"{finding.seconds:.2f}"
    return [
        (finding.check, finding.outcome, seconds, first),
        *(("", "", "", line) for line in more),
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]


class _Warning(list[str]):
    """The lines of a check with which the service starts, but without some of its chains."""


class _SkippedError(Exception):
    """The check needs the result of one that has failed."""


async def check_up() -> list[Finding]:
    """Run every check in turn; after a failure only the checks that depend on it are skipped."""
    settings: list[Settings] = []
    needed = settings_of_installation()

    async def check_settings() -> list[str]:
        settings.append(load_settings(needed))
        keep_secret(*settings[0].secrets)
        return [f"environment {settings[0].environment}", *_notes(misspelt(environment()))]

    findings = [await _finding("settings", check_settings)]
    if not settings:
        names = (
            ["postgres"] if needed is ApiProcessSettings else ["actions", "postgres", "plugboard"]
        )
        return findings + [Finding(each, "skipped", 0.0, ["needs the settings"]) for each in names]
    for name, check in checks_of(settings[0]).items():
        findings.append(await _finding(name, check))
    return findings


def checks_of(settings: Settings) -> dict[str, Check]:
    """The checks of a service or an API process with these settings, by name."""
    receive_plugins(settings, yaml_file.document)
    has_plugboard = settings.websocket_url != ""
    return {
        **({"actions": partial(_actions, settings)} if has_plugboard else {}),
        **({"api": partial(_api, settings)} if settings.has_api else {}),
        **({} if settings.health_port is None else {"health": partial(_health, settings)}),
        **(_pipeline_checks(settings) if settings.has_pipeline else {}),
        "postgres": partial(_postgres, settings),
        **({"plugboard": partial(_plugboard, settings)} if has_plugboard else {}),
    }


def _pipeline_checks(settings: Settings) -> dict[str, Check]:
    file = _File(settings)
    return {
        "configuration": file.read,
        PLUGINS: file.import_plugins,
        "redis": partial(_redis, settings, file),
    }


async def _finding(name: str, check: Check) -> Finding:
    began = time.perf_counter()
    outcome: Outcome
    try:
        async with asyncio.timeout(None if name == PLUGINS else SECONDS):
            detail = await check()
            outcome = "warn" if isinstance(detail, _Warning) else "ok"
    except _SkippedError as error:
        outcome, detail = "skipped", [str(error)]
    except Exception as error:  # noqa: BLE001 -- a plugin or a driver may raise anything
        outcome, detail = "failed", _problems(error)
    return Finding(name, outcome, round(time.perf_counter() - began, 3), detail)


def _problems(error: Exception) -> list[str]:
    if isinstance(error, ConfigurationError):
        return error.problems
    if isinstance(error, PatchcordError):
        return [str(error)]
    if isinstance(error, TimeoutError):
        return [f"no result within {SECONDS:g} s"]
    return [f"{type(error).__name__}: {error}"]


def _notes(notes: Iterable[str]) -> list[str]:
    return [f"note: {note}" for note in notes]


async def _actions(settings: Settings) -> list[str]:
    publication = published(settings)
    check_request_line(publishing_url(settings, publication.actions), settings.request_line_limit)
    return [publication.summary]


async def _api(settings: Settings) -> list[str]:
    """Read the tokens, and listen on the port for a moment."""
    # the rest of a check takes half the time without the parts of a service
    from starlette.responses import Response  # noqa: PLC0415

    from app.bootstrap_api import listening, tokens_to_serve, weaknesses  # noqa: PLC0415

    tokens = tokens_to_serve(settings)
    summary = f"tokens: {len(tokens)}"
    if settings.api_port is not None:
        await listening(settings, Response()).stop(0)
        summary = f"port {settings.api_port} is free; {summary}"
    return [summary, *_notes(weaknesses(settings, tokens))]


async def _health(settings: Settings) -> list[str]:
    """Listen on the health port, and close it again."""
    server = health_server(settings, dict, lambda _: (b"", "text/plain"))
    assert server is not None
    server.start()
    server.close()
    return [f"port {settings.health_port} is free"]


class _File:
    """The configuration file; both of its checks use one reading of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = config_path(settings)
        self.config: PipelineConfig | None = None

    async def read(self) -> list[str]:
        try:
            self.config = yaml_file.read(self._path, environment(), **lenience(self._settings))
        except ConfigurationError as error:
            raise ConfigurationError([self._placed(each) for each in error.problems]) from None
        keep_secrets(self.config)
        enabled = [chain.name for chain in self.config.enabled_chains]
        some_may_be_disabled = DISABLE in {each.on_broken for each in self.config.enabled_chains}
        when = ", before their plugins are loaded" if some_may_be_disabled else ""
        summary = f"{self._path}: enabled chains{when}: {', '.join(enabled) or 'none'}"
        broken = broken_notes(self.config)
        notes = [*self.config.notes, *law_notes(self.config, datetime.now(UTC))]
        lines = [summary, *broken, *_notes(notes)]
        return _Warning(lines) if broken else lines

    def _placed(self, problem: str) -> str:
        path = str(self._path)
        return problem if problem.startswith(path) else f"{path}: {problem}"

    async def import_plugins(self) -> list[str]:
        if self.config is None:
            raise _SkippedError("needs the configuration")
        modules = installer(self._settings)
        loaded = await in_own_thread(prepared, self.config, modules)
        plugins, told = loaded.plugins, broken_notes(self.config)
        broken = [each for each in broken_notes(loaded.config) if each not in told]
        summary = (
            f"imported: links {len(plugins.links)}, storages {len(plugins.storages)}, "
            f"tracers {len(plugins.tracers)}"
        )
        if not broken:
            return [summary, *_notes(plugins.notes)]
        running = ", ".join(each.name for each in loaded.config.enabled_chains) or "none"
        summary += f"; chains that run: {running}"
        return _Warning([summary, *broken, *_notes(plugins.notes)])


async def _redis(settings: Settings, file: _File) -> list[str]:
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    where = f"REDIS_URL, {server_of(url)}"
    redis = redis_connection(settings)
    try:
        await redis.command("PING")
        found = await shortcomings(redis)
        left = await unread_at_a_glance(redis, file.config) if file.config else {}
        lists = lists_of(file.config).all if file.config else []
        state = await state_of(redis, lists, settings.vcon_sorted_set_name)
    except UnavailableError as error:
        known = with_remedy(error, url)
        raise (UnavailableError(f"{where}: {error}") if known is error else known) from None
    except CommandRefused as error:
        raise UnavailableError(f"{where}: {error}") from None
    finally:
        await redis.close()
    if state.unusable:
        raise ConfigurationError([f"{where}: {each}; {REMEDY}" for each in state.unusable.values()])
    if NO_JSON in found:
        raise UnavailableError(f"{where}: {'; '.join(found)}")
    summary = f"{server_of(url)} answers, and has JSON"
    return [
        "; ".join([summary, *found]),
        *_notes(f"{n} ids are left in {name}, a list of no chain" for name, n in left.items()),
    ]


async def _postgres(settings: Settings) -> list[str]:
    where = (
        f"{settings.postgres_database} on {settings.postgres_host}:{settings.postgres_port} "
        f"as {settings.postgres_user}"
    )
    probe = Probe(settings)
    try:
        present, newest = await in_own_thread(probe.revisions)
        problem = await in_own_thread(probe.schema_problem)
    except PatchcordError as error:
        raise UnavailableError(f"POSTGRES_*, {where}: {error}") from None
    if problem and (present == newest or not settings.migrate_on_start):
        raise UnavailableError(f"{where}: {problem}")
    if present == newest or not settings.migrate_on_start:
        return [f"{where}, at the newest revision ({present})"]
    return [f"{where}, at revision {present}; the start brings it to {newest}"]


async def _plugboard(settings: Settings) -> list[str]:
    url = publishing_url(settings, published(settings).actions)
    limits = Limits(settings.request_line_limit, settings.max_frame_bytes)
    server = urlsplit(settings.websocket_url).netloc.rpartition("@")[2]
    reason = await try_connection(url, limits)
    if reason is None:
        size = request_line_bytes(url)
        return [f"{server} takes token and actions ({size} bytes); not joined"]
    if reason.kind is CloseKind.REFUSED:
        causes = causes_of_refusal(Credential(settings.token), datetime.now(UTC))
        remedy = "look at TOKEN, and compare `actions --fingerprint` with theirs"
        raise UnavailableError(f"{server}: {reason.text}: {causes}; {remedy}")
    remedy = (
        "" if reason.fatal or reason.kind is CloseKind.UNTRUSTED else "; is WEBSOCKET_URL right?"
    )
    raise UnavailableError(f"WEBSOCKET_URL, {server}: {reason.text}{remedy}")
