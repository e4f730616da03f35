"""The house rules that can be read off the source: who imports whom, how long things are."""

import ast
import re
from functools import cache
from statistics import median, quantiles

import pytest

from tests.unit.source_files import ROOMS, ROOT, SERVICE, Source, service, sources

MAY_IMPORT: dict[str, str] = {
    "core": r"core|schemas",
    "pipeline": r"pipeline|schemas|flowlang"
    r"|core\.(bounded_calls|helper_process|own_thread|parsed_size|unreadable|loop_timeout|settings|errors|logs|metrics|spans|records|storable_text"
    r"|redaction"
    r"|(run|ingress)_\w+|ports_relay)",
    "actions": r"core\.(action_\w+|ports\w*)|schemas",
    "events": r"core\.(action_\w+|ports\w*)|schemas",
    "schemas": r"schemas|core\.action_schema",
    "links": r"links|lib",
    "storage": r"storage|lib",
    "tracers": r"tracers|lib",
    "lib": r"lib|flowlang"
    r"|pipeline\.(connection|service_connections|deadline|store|document|elsewhere|step_scope)"
    r"|core\.(logs|metrics|spans)|schemas\.(vcon|uuids)",
    "flowlang": r"flowlang",
    "alembic": r"core\.(tables|settings|database\w*|migrations|errors)",
}
"""What a room's files may import of this project: a pattern for the beginning of the name."""

MAY_IMPORT_MORE: dict[str, str] = {
    "core/bootstrap.py": r"core|schemas|pipeline|lib",
    "core/bootstrap_worker.py": r"core|schemas|pipeline|lib",
    "core/checkup.py": r"core|schemas|pipeline|lib",
    "entrypoint.py": r"core\.command\w*",
}
"""The files with rules of their own."""

ONLY_IMPORTERS: dict[str, str] = {
    "websockets": r"core/(conversation|plugboard_transport|websocket_frames|connection_loss)\.py",
    "sqlalchemy": r"core/(tables|database\w*|migrations|(record|run_|ingress_)\w+)\.py|alembic/.*",
    "redis": r"pipeline/connection(_threads|_errors|_batches|_clients)?\.py"
    r"|flowlang/connections/redis/.*",
    "prometheus_client": r"core/(metrics(_\w+)?|otlp(_metrics)?|telemetry)\.py",
    "opentelemetry": r"core/otlp(_metrics)?\.py",
    "structlog": r"core/log(s|_bounds)\.py",
    "uvloop": r"entrypoint\.py",
    "pydantic_settings": r"core/settings\.py",
    # a vCon's URLs are fetched in one place; the others know where they go from the configuration
    "httpx": r"lib/(fetching|http_client|webhooks|ai_usage)\.py|flowlang/connections/airtable/.*"
    r"|devstack/.*",
    "openai": r"lib/openai_client\.py",
    "deepgram": r"links/deepgram_link\.py",
    "groq": r"links/groq_whisper\.py",
    "jq": r"links/jq_link\.py|lib/jq_child\.py",
    "imageio_ffmpeg": r"lib/ffmpeg\.py",
    "boto3": r"storage/s3\.py",
    "pymongo": r"storage/mongo\.py|flowlang/connections/mongodb/.*",
    "elasticsearch": r"storage/elasticsearch/__init__\.py",
    "pymilvus": r"storage/milvus/collection\.py",
    "asyncmy": r"flowlang/connections/mysql/.*",
    "sqlite3": r"flowlang/connections/sqlite/.*",
    "jsonschema": r"flowlang/connections/configuration\.py",
    "setuptools": r"flowlang/setup\.py",
    "packaging": r"flowlang/connections/dependencies\.py"
    r"|pipeline/(requirement|installer_folder|installer_metadata)\.py",
}
"""The service's files that may import a library; each outside thing has its own."""

RANKS: tuple[tuple[str, ...], ...] = (
    # words
    (
        *(
            "errors",
            "frames",
            "large_frames",
            "unreadable",
            "deep_json",
            "parsed_size",
            "storable_text",
            "redaction",
            "log_bounds",
            "log_values",
            "loop_timeout",
            "loop_watch",
            "freeze_watch",
            "backoff",
            "findings",
            "heartbeat",
            "channel_effects",
            "channel_states",
        ),
        *("metrics", "metrics_guests", "metrics_outcomes", "log_context", "spans", "credentials"),
        *("action_fields", "action_schema", "action_response", "ports", "ports_operations"),
        *("ports_relay", "ports_partners", "ports_connections"),
    ),
    # thinking
    (
        *(
            "action_runner",
            "action_event",
            "action_author",
            "channel",
            "channel_membership",
        ),
        *(
            "connection_loss",
            "http_messages",
            "websocket_frames",
            "reconnection",
            "dispatch",
            "traced_dispatch",
            "handshake",
        ),
        *(
            "replies",
            "outbound",
            "request_desk",
            "responder",
            "event_router",
            "alarm",
            "blocking_pool",
            "bounded_calls",
            "own_thread",
            "helper_process",
            "helper_child",
            "channel_counts",
            "handover",
            "suspects",
        ),
    ),
    # doing
    (
        *(
            "settings",
            "settings_telemetry",
            "settings_misspelt",
            "logs",
            "metrics_file",
            "metrics_page",
            "readings",
        ),
        *(
            "telemetry",
            "otlp",
            "otlp_metrics",
            "action_registry",
            "offer",
            "publication",
            "plugboard_transport",
            "conversation",
        ),
        *("plugboard_client", "health"),
        *("readiness", "signals", "supervisor", "tables", "database", "database_errors"),
        *("migrations", "records", "record_rows", "run_history", "run_queries"),
        *(
            "ingress_keys",
            "ingress_ledger",
            "ingress_owners",
            "settings_retention",
            "settings_keys",
        ),
        *("settings_workers", "settings_plugins", "progress", "stalled_workers"),
        *("settings_limits", "settings_keys", "core_dumps"),
    ),
    # assembly
    ("bootstrap", "bootstrap_worker", "checkup", "commands", "command_line", "command_signals"),
)
"""The files of core/, lowest first: a file imports its own rank and those below."""

LONGEST_FILE = 400
LONGEST_FUNCTION = 35


def imported_rooms(source: Source) -> list[str]:
    """What a file imports of this project."""
    return sorted(name for name in source.imports if name.split(".")[0] in ROOMS)


def test_each_room_imports_only_what_it_may() -> None:
    """No file reaches into a room that its own room has no door to."""
    wrong = []
    for source in service():
        allowed = MAY_IMPORT_MORE.get(source.path) or MAY_IMPORT[source.room]
        pattern = re.compile(rf"({allowed})(\.|$)")
        modules = {module_of(name) for name in imported_rooms(source)}
        wrong += [f"{source.path}: {name}" for name in modules if not pattern.match(name)]
    assert sorted(wrong) == []


def test_no_action_and_no_event_imports_another() -> None:
    """Actions and events stand alone: one can be removed without another noticing."""
    for source in service():
        if source.room in ("actions", "events"):
            assert not [name for name in imported_rooms(source) if name.startswith(source.room)]


@pytest.mark.parametrize(("library", "files"), ONLY_IMPORTERS.items())
def test_each_outside_thing_has_its_own_files(library: str, files: str) -> None:
    """A library that talks to the outside is imported where the house keeps it, nowhere else."""
    importers = {
        source.path
        for source in service()
        if any(name.split(".")[0] == library for name in source.imports)
    }
    assert {path for path in importers if not re.fullmatch(files, path)} == set()
    assert importers


def test_nothing_of_the_service_shares_its_threads_with_plugins() -> None:
    """What hangs in asyncio's one pool for everything must not keep the service from going on."""
    shared = re.compile(r"\bto_thread\(|run_in_executor\(")
    # a plugin's own loop, in a thread of its own
    allowed = "pipeline/connection.py"
    users = [
        source.path
        for source in service()
        if source.room in ("core", "pipeline") and shared.search(source.text)
    ]
    assert users == [allowed]


def test_core_imports_downwards_only() -> None:
    """Words know nothing of thinking, thinking nothing of doing, and nothing of assembly."""
    rank_of = {name: rank for rank, names in enumerate(RANKS) for name in names}
    wrong = []
    for source in service():
        if source.room == "core" and source.module != "core":
            rank = rank_of[source.module.removeprefix("core.")]
            modules = {module_of(name) for name in imported_rooms(source)} - {"core"}
            core = {name for name in modules if name.startswith("core.")}
            wrong += [f"{source.path}: {n}" for n in core if rank_of[n[len("core.") :]] > rank]
    assert wrong == []


def module_of(name: str) -> str:
    """The module that a name belongs to: the name itself, or what it was imported from."""
    modules = module_names()
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name


@cache
def module_names() -> frozenset[str]:
    """Every module of the project."""
    return frozenset(source.module for source in sources() if source.room != "alembic")


def edges(source: Source) -> set[str]:
    """The modules that a file imports; `from package import module` imports but the latter."""
    imported = {module_of(name) for name in imported_rooms(source)}
    packages = {name for name in imported if any(n.startswith(f"{name}.") for n in imported)}
    return imported - packages - {source.module}


def test_imports_never_go_round() -> None:
    """No module imports itself over others, not even for its types alone."""
    graph = {source.module: edges(source) for source in sources() if source.room != "alembic"}
    while graph:
        leaves = {module for module, imported in graph.items() if not imported & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {module: imported for module, imported in graph.items() if module not in leaves}


def test_only_the_settings_read_the_environment() -> None:
    """One file of the service looks at `os.environ`, and one of `flowlang`, which stands alone."""
    readers = {
        source.path
        for source in service()
        for node in source.nodes
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and _imports_environ(node))
    }
    assert readers == {"core/settings.py", "flowlang/environment.py"}


def _imports_environ(node: ast.ImportFrom) -> bool:
    return any(alias.name in ("environ", "environb", "getenv") for alias in node.names)


def test_every_room_but_alembic_is_a_package() -> None:
    """Each room has an `__init__.py`; Alembic's would shadow Alembic itself."""
    rooms = {room for room in (*SERVICE, "devstack") if (ROOT / room / "__init__.py").is_file()}
    assert rooms == {room for room in (*SERVICE, "devstack") if (ROOT / room).is_dir()}
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_no_file_is_too_long() -> None:
    """A file that needs more than 400 lines is two files."""
    assert [source.path for source in sources() if len(source.lines) > LONGEST_FILE] == []
    entrypoint = next(source for source in sources() if source.path == "entrypoint.py")
    assert len(entrypoint.lines) <= 40


def test_functions_are_short() -> None:
    """Half of all functions have at most five code lines, nine of ten fifteen, all of them 35."""
    lengths = dict(item for source in sources() for item in source.functions())
    assert [name for name, length in lengths.items() if length > LONGEST_FUNCTION] == []
    assert median(lengths.values()) <= 5
    assert quantiles(lengths.values(), n=10)[-1] <= 15
