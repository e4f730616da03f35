"""Gathers the facts of an installation of vcon-server, and decides what will differ for it.

A part that cannot be looked at is a finding, and the others go on.
"""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from app.vcon_server.api import Tokens, keys_in, of_api
from app.vcon_server.config_file import of_document, of_problems
from app.vcon_server.findings import Finding
from app.vcon_server.plugins import PluginUse, of_load, of_plugins
from app.vcon_server.redis_facts import Progress, gathered
from app.vcon_server.redis_findings import UsedLists, of_redis
from app.vcon_server.variables import of_this_service, of_vcon_server
from core.concurrency.thread_pool import in_own_thread
from core.db.database import database, database_settings
from core.environment import environment
from core.errors import ConfigurationError, PatchcordError
from core.observability.logs import keep_secret, keep_secrets_of
from core.secrets.api_tokens import api_tokens
from core.setting_groups.api import ApiSettings
from core.settings import load_settings, settings_of_installation
from pipeline.config import yaml_file
from pipeline.config.broken import disabled
from pipeline.config.parser import PipelineConfig
from pipeline.config.reports import broken_notes
from pipeline.plugins.loader import load
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.pools import RedisAccess

ROOT = Path(__file__).parents[2]
ROOMS = ("links", "storage", "tracers")
SECTIONS = ("imports", "links", "storages", "tracers")
SWITCHED_ON = ("1", "true", "yes", "on", "t", "y")
DEFAULT_SET = "vcons"


async def worked_off(*, most: int, progress: Progress) -> list[Finding]:
    """Every finding, by area. `most`: keys of Redis that are read at most, 0 for all."""
    environ = environment()
    settings = of_this_service(environ, _problems_of_settings())
    document, config, problems, notes = _configuration(environ)
    keep_secrets_of(document)
    uses = list(uses_of(document))
    tokens = _tokens(environ)
    keep_secret(environ.get("CONSERVER_API_TOKEN", ""), *tokens.values)
    for keys in _mapping(document.get("ingress_auth")).values():
        keep_secret(*keys_in(keys))
    return [
        *settings,
        *of_vcon_server(environ),
        *of_problems(problems, notes),
        *of_document(document, any_list=_is_on(environ, "API_ANY_LIST")),
        *of_plugins(uses, exact=_exact(environ), installs=_installs(environ)),
        *of_load(*await _loaded(config), uses),
        *of_api(environ, tokens, document, is_open=_is_on(environ, "API_OPEN")),
        *await _redis(environ, document, most, progress),
        await _postgres(),
    ]


def progress(seen: int, total: int) -> None:
    """Show how far the reading of Redis is, on standard error, if that is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{seen:,} of {total:,} keys" + ("\n" if seen >= total else ""))
        sys.stderr.flush()


def _problems_of_settings() -> list[str]:
    try:
        load_settings(settings_of_installation())
    except ConfigurationError as error:
        return error.problems
    return []


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in SWITCHED_ON


def _disables(environ: Mapping[str, str]) -> bool:
    return environ.get("CONFIG_ON_BROKEN", "").strip().lower() == "disable"


def _exact(environ: Mapping[str, str]) -> bool:
    installs = environ.get("DYNAMIC_INSTALL", "").strip().lower()
    return environ.get("ENVIRONMENT") == "production" and installs != "any"


def _installs(environ: Mapping[str, str]) -> bool:
    return environ.get("DYNAMIC_INSTALL", "").strip().lower() not in ("0", "false", "no", "off")


def _configuration(
    environ: Mapping[str, str],
) -> tuple[Mapping[str, Any], PipelineConfig | None, list[str], list[str]]:
    """The document, empty if it cannot be read, and what the parser made of it and says."""
    path = environ.get("CONSERVER_CONFIG_FILE")
    if not path:
        return {}, None, [], []
    try:
        document = yaml.safe_load(Path(path).read_bytes())
    except (OSError, yaml.YAMLError, ValueError):
        document = None
    document = document if isinstance(document, Mapping) else {}
    try:
        config = yaml_file.read(
            path,
            environ,
            strict=_is_on(environ, "CONFIG_STRICT"),
            weak_keys=_is_on(environ, "ALLOW_WEAK_KEYS"),
            on_broken="disable" if _disables(environ) else "refuse",
        )
    except ConfigurationError as error:
        return document, None, error.problems, []
    return document, config, [], list(config.notes)


async def _loaded(config: PipelineConfig | None) -> tuple[Sequence[str], Sequence[str]]:
    """Problems and notes of loading the plugins; nothing is installed."""
    if config is None:
        return [], []
    try:
        plugins = await in_own_thread(load, config)
    except ConfigurationError as error:
        return error.problems, []
    return [], [*broken_notes(disabled(config, plugins.broken)), *plugins.notes]


def _tokens(environ: Mapping[str, str]) -> Tokens:
    names = ("CONSERVER_API_TOKEN", "CONSERVER_API_TOKEN_FILE")
    given: dict[str, Any] = {name.lower(): environ.get(name) or None for name in names}
    try:
        return Tokens(api_tokens(ApiSettings(**given)))
    except ConfigurationError as error:
        return Tokens(error="; ".join(error.problems))


def uses_of(document: Mapping[str, Any]) -> Iterator[PluginUse]:
    """Each plugin of the file; entries without a module are reported by the parser."""
    users = _users(document)
    for section in SECTIONS:
        for name, given in _mapping(document.get(section)).items():
            entry = {"module": given} if isinstance(given, str) else _mapping(given)
            module, pip_name = entry.get("module"), entry.get("pip_name")
            if not isinstance(module, str) or not module:
                continue
            yield PluginUse(
                section=section,
                name=str(name),
                module=module,
                pip_name=pip_name if isinstance(pip_name, str) else None,
                chains=users.get((section, str(name)), ()),
                has_options=bool(entry.get("options")),
                is_built_in=_is_built_in(module),
                is_importable=_is_importable(module),
            )


def _users(document: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The chains that use each plugin; all of them for tracers."""
    users: dict[tuple[str, str], list[str]] = {}
    for chain, given in _mapping(document.get("chains")).items():
        for section in ("links", "storages"):
            for each in _list(_mapping(given).get(section)):
                name = next(iter(each), "") if isinstance(each, Mapping) else each
                users.setdefault((section, str(name)), []).append(str(chain))
        for name in _mapping(document.get("tracers")):
            users.setdefault(("tracers", str(name)), []).append(str(chain))
    return users


def _is_built_in(module: str) -> bool:
    room, _, name = module.partition(".")
    place = ROOT / room / name
    known = name.isidentifier() and room in ROOMS
    return known and (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file())


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (Exception, SystemExit):  # noqa: BLE001 -- it imports the packages above the module
        return False


async def _redis(
    environ: Mapping[str, str], document: Mapping[str, Any], most: int, progress: Progress
) -> list[Finding]:
    url = environ.get("REDIS_URL")
    if not url:
        return []
    used = lists_used(document)
    sorted_set = environ.get("VCON_SORTED_SET_NAME") or DEFAULT_SET
    try:
        redis = RedisConnection(url, access=_access(environ))
    except ValueError:
        return []  # `load_settings` has refused it
    try:
        lists = {*used.ingress, *used.egress}
        facts = await gathered(redis, lists, sorted_set, most=most, progress=progress)
    finally:
        await redis.close()
    return of_redis(facts, used, sorted_set)


def _access(environ: Mapping[str, str]) -> RedisAccess:
    return RedisAccess(
        ca_file=environ.get("REDIS_CA_FILE") or "",
        sentinel_user=environ.get("REDIS_SENTINEL_USER") or "",
        sentinel_password=environ.get("REDIS_SENTINEL_PASSWORD") or "",
    )


async def _postgres() -> Finding:
    """Whether the database is there, and whether the start migrates it."""
    try:
        settings = database_settings()
        database.initialize(settings)
    except ConfigurationError:
        text = "not looked at, as its settings are missing or refused"
        return Finding("postgres", "note", "database", text)
    try:
        present, newest = await in_own_thread(database.revisions)
    except PatchcordError as error:
        name = settings.postgres_database
        remedy = f"see that it runs and has this database (createdb {name}), and that POSTGRES_* "
        remedy += "have its address, user and password"
        return Finding("postgres", "stop", name, str(error), remedy)
    finally:
        database.close()
    if present == newest:
        return Finding("postgres", "ok", settings.postgres_database, f"at revision {newest}")
    text = f"at revision {present}; the start brings it to {newest}, if MIGRATE_ON_START is on"
    return Finding("postgres", "note", settings.postgres_database, text, "alembic upgrade head")


def lists_used(document: Mapping[str, Any]) -> UsedLists:
    """The lists of all chains and the storages of a document."""
    chains = [_mapping(each) for each in _mapping(document.get("chains")).values()]
    ingress, egress = (
        [str(name) for chain in chains for name in _list(chain.get(key))]
        for key in ("ingress_lists", "egress_lists")
    )
    return UsedLists(ingress, egress, list(map(str, _mapping(document.get("storages")))))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
