"""Rules that can be checked in the source: imports, sizes of files, functions and folders."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.unit.support.source_files import ROOMS, ROOT, SERVICE, Source, service, sources

ONLY_IMPORTERS: dict[str, str] = {
    "websockets": r"core/plugboard/(session|transport|reconnect)\.py",
    "sqlalchemy": r"core/db/((driver|law)/)?\w+\.py|alembic/.*",
    "redis": r"pipeline/redis_client/(__init__|client|errors|driver/\w+)\.py"
    r"|flowlang/connections/redis/.*",
    "prometheus_client": r"core/observability/(\w*metrics|metrics_export|otlp|telemetry)\.py",
    "opentelemetry": r"core/observability/otlp\.py",
    "structlog": r"core/observability/logs\.py",
    "httptools": r"http_api/serving/(protocol|exchange)\.py",
    "uvicorn": r"http_api/serving/(server|protocol|exchange|connections)\.py",
    "uvloop": r"entrypoint\.py",
    "pydantic_settings": r"core/settings\.py",
    # a vCon's URLs are fetched in one place; the others know where they go from the configuration
    "httpx": r"lib/web/client_library\.py|flowlang/connections/(airtable/.*|tls\.py)|devstack/.*"
    r"|pipeline/erasure/telling\.py",
    "aiohttp": r"lib/web/aiohttp_transport\.py",
    "openai": r"lib/openai_client\.py",
    "groq": r"links/groq_whisper\.py",
    "jq": r"links/jq_link\.py|lib/jq/child\.py",
    "faster_whisper": r"lib/ai/local_whisper\.py",
    "imageio_ffmpeg": r"lib/recordings/audio\.py",
    "cbor2": r"lib/scitt/(cose|service)\.py",
    "cryptography": r"lib/scitt/\w+\.py|links/scitt/create_hashed_signed_statement\.py"
    r"|pipeline/config/law_section/pem\.py|pipeline/law/.*",
    "joserfc": r"pipeline/law/.*",
    "jwcrypto": r"pipeline/law/.*",
    "boto3": r"lib/s3_client\.py|pipeline/media/s3_store\.py",
    "pymongo": r"storage/mongo\.py|flowlang/(mongo_client\.py|connections/mongodb/.*)",
    "elasticsearch": r"storage/elasticsearch/__init__\.py",
    "asyncssh": r"storage/sftp/\w+\.py",
    "pymilvus": r"storage/milvus/collection\.py",
    "asyncmy": r"flowlang/connections/mysql/.*",
    "sqlite3": r"flowlang/connections/sqlite/.*",
    "jsonschema": r"flowlang/connections/configuration\.py",
    "rfc8785": r"pipeline/law/canonical_json\.py",
    "setuptools": r"flowlang/setup\.py",
    "phonenumbers": r"pipeline/vcon/party_terms\.py|lib/phone_number_utils\.py",
    "packaging": r"flowlang/connections/dependencies\.py"
    r"|pipeline/plugins/(requirement|modules_folder|installer)\.py",
}
"""The service's files that may import a library; each outside thing has its own."""

LONGEST_FILE = 400
LONGEST_FUNCTION = 35
SMALL_FILE = 60
LARGEST_FOLDER = 16

TABLES = (
    "core.settings",
    "http_api.routes",
    "http_api.console.pages",
    "pipeline.operator.operations",
    "app.operator_cli.table",
    "devstack.chaos.catalogue",
    "devstack.conformance.rules",
)
"""Modules that list what there is of a kind."""

SMALL_FILES = {
    "pipeline/erasure/carried_over.py": "reads a file of an operator, which the others do not see",
    "app/freeze_watch.py": "one mechanism with its own theory, unrelated to how parts are wired",
    "app/startup_signals.py": "imported before everything that takes time to import",
    "http_api/authentication.py": "what a token is compared with, apart from the paths",
    "pipeline/ingest/claims.py": "the claims of one call, apart from the use of their answers",
    "pipeline/ingest/kept_originals.py": "which signature outweighs which, apart from the writing",
    "pipeline/law/basis/profiles/consent_00.py": "one version of the draft to a file",
    "pipeline/law/basis/profiles/lb_02.py": "one version of the draft to a file",
    "pipeline/media/factory.py": "chooses the stores by the settings, which the others do not know",
    "pipeline/media/redis_store.py": "one store of media; the others are beside it",
    "pipeline/redis_client/script_texts.py": "the only file that finds and fills Lua texts",
    "pipeline/worker/unclaimed.py": "one duty beside the worker's loop",
    "lib/openai_client.py": "names of vcon-server, which plugins of third parties import",
    "lib/web/redirects.py": "what a redirect takes to another server, apart from the sending",
    "links/webhook/signature.py": "the algorithm that receivers of webhooks implement",
    "storage/file/threads.py": "one mechanism with its own theory, apart from what is written",
    "lib/vcon_server/dlq_utils.py": "a module that plugins import by name, as in vcon-server",
    "lib/mongo_client.py": "what storages, which import `lib` alone, get of FlowLang's client",
    "flowlang/connections/loss.py": "what a lost connection is, for every type of connection",
    "flowlang/connections/postgres/times.py": "the conversion of dates, without the driver's pool",
    "devstack/callers.py": "load for a soak; knows no services",
    "devstack/conformance/peers_view.py": "what is seen of a call; rules judge it",
    "devstack/chaos/system/log_lines.py": "the only reader of the service's log",
    "devstack/plugboard/board/bursts.py": "one behaviour of the Plugboard to a file",
    "devstack/servers/prometheus.py": "one program of Debian to a file",
    "devstack/plugboard/observation.py": "one behaviour of the Plugboard to a file",
    "devstack/plugboard/board/pending.py": "one behaviour of the Plugboard to a file",
}
"""Files under 60 lines with a single importer, each with the reason why it is not part of that."""

LARGE_FOLDERS = {
    "core/db": "one file for each kind of rows, and what they share",
    "core": "modules that documents import by name (`core.action_runner`) lie beside its rooms",
    "actions": "one file for each action or family of actions",
    "lib": "modules that plugins import by name, as in vcon-server",
    "links": "modules that configurations name, as in vcon-server",
}
"""Folders with more than 16 Python files, each with the reason."""


def test_each_room_imports_only_what_it_may() -> None:
    """The contracts of `[tool.importlinter]` in pyproject.toml hold, and there are no cycles."""
    # in a process of its own: it configures logging, and would disable the loggers of this one
    linter = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports as lint"]
    linter[-1] += "; sys.exit(lint(no_cache=True, no_logo=True))"
    done = subprocess.run(linter, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("library", "files"), ONLY_IMPORTERS.items())
def test_each_outside_thing_has_its_own_files(library: str, files: str) -> None:
    """A library that talks to the outside is imported only in the files listed for it."""
    importers = {
        source.path
        for source in service()
        if any(name.split(".")[0] == library for name in source.imports)
    }
    assert {path for path in importers if not re.fullmatch(files, path)} == set()
    assert importers


def test_http_clients_share_a_tls_context() -> None:
    """Without `verify`, each client of `httpx` makes one: 10 to 30 ms of CPU time a fetch."""
    makers = {"AsyncClient", "Client", "delete", "get", "post", "put", "request", "stream"}
    own = {
        f"{source.path}:{node.lineno}"
        for source in service()
        for node in source.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in makers
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "httpx"
        and not any(keyword.arg == "verify" for keyword in node.keywords)
    }
    assert own == set()


def test_nothing_of_the_service_shares_its_threads_with_plugins() -> None:
    """What hangs in asyncio's one pool for everything must not keep the service from going on."""
    shared = re.compile(r"\bto_thread\(|run_in_executor\(")
    # a plugin's own loop, in a thread of its own
    allowed = "pipeline/redis_client/client.py"
    users = [
        source.path
        for source in service()
        if source.room in ("core", "pipeline") and shared.search(source.text)
    ]
    assert users == [allowed]


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
    imported = {module_of(name) for name in source.imports if name.split(".")[0] in ROOMS}
    packages = {name for name in imported if any(n.startswith(f"{name}.") for n in imported)}
    return imported - packages - {source.module}


@cache
def graph() -> dict[str, set[str]]:
    """The modules that each module of the project imports."""
    return {source.module: edges(source) for source in sources() if source.room != "alembic"}


def test_imports_never_go_round() -> None:
    """No module imports itself over others, not even for its types alone."""
    left = graph()
    while left:
        leaves = {module for module, imported in left.items() if not imported & left.keys()}
        assert leaves, f"a cycle among {sorted(left)}"
        left = {module: imported for module, imported in left.items() if module not in leaves}


def test_only_the_settings_read_the_environment() -> None:
    """One file of the service looks at `os.environ`, and one of `flowlang`, which stands alone."""
    readers = {
        source.path
        for source in service()
        for node in source.nodes
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and _imports_environ(node))
    }
    assert readers == {"core/environment.py", "flowlang/environment.py"}


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


def test_no_file_of_tests_is_too_long() -> None:
    """The same limit holds for tests."""
    paths = {str(path.relative_to(ROOT)): path for path in (ROOT / "tests").rglob("*.py")}
    long = {
        name
        for name, path in paths.items()
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    }
    assert long == set()


def test_no_folder_has_too_many_files() -> None:
    """At most 16 modules, except where `LARGE_FOLDERS` has a reason for more."""
    paths = [Path(source.path) for source in sources()]
    counts = Counter(str(path.parent) for path in paths if path.name != "__init__.py")
    assert {name for name, count in counts.items() if count > LARGEST_FOLDER} == set(LARGE_FOLDERS)


def test_small_files_have_a_reason() -> None:
    """A file under 60 lines with one importer is part of that importer, or is in `SMALL_FILES`.

    What a table lists is a file for each subject, however short: handlers of the HTTP API,
    pages of the console, operations of operators, commands, scenarios.
    """
    listed = {name for table in TABLES for name in (table, *graph()[table])}
    importers = Counter(name for imported in graph().values() for name in imported)
    small = {
        source.path
        for source in sources()
        if len(source.lines) < SMALL_FILE
        and importers[source.module] == 1
        and source.module not in listed
        and not source.path.startswith("schemas/operator/")
        and not source.path.endswith("__init__.py")
    }
    assert small == set(SMALL_FILES)


def test_validators_are_made_when_they_are_used() -> None:
    """A process uses a few of the classes of these rooms, and a validator takes 0.5 ms."""
    begins = ("schemas/", "core/setting_groups/")
    at_once = [
        source.path
        for source in sources()
        if source.path.startswith(begins) and any("(BaseModel):" in each for each in source.lines)
    ]
    assert at_once == []


def test_functions_are_short() -> None:
    """Half of all functions have at most five code lines, nine of ten fifteen, all of them 35."""
    lengths = dict(item for source in sources() for item in source.functions())
    assert [name for name, length in lengths.items() if length > LONGEST_FUNCTION] == []
    assert median(lengths.values()) <= 5
    assert quantiles(lengths.values(), n=10)[-1] <= 15
