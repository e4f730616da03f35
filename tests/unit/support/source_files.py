"""The Python files of this project as the tests of its architecture read them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[3]

SERVICE = (
    *("app", "core", "pipeline", "actions", "events", "http_api", "schemas"),
    *("links", "storage", "tracers", "lib", "flowlang"),
)
"""The rooms of the running service. `alembic` is one too, but cannot be imported by that name."""
ROOMS = (*SERVICE, "devstack", "benchmarks", "tests")

type Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file of this project."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def room(self) -> str:
        return self.path.split("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def imports(self) -> set[str]:
        """Every name imported anywhere in the file, under `if TYPE_CHECKING` and in functions too.

        `from a import b` counts as `a.b`, and as `a`.
        """
        return {name for node in self.nodes for name in self._imported(node)}

    def _imported(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = self.module.split(".") + (["_"] if self.path.endswith("__init__.py") else [])
            parts = above[: -node.level] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)

    def functions(self) -> Iterator[tuple[str, int]]:
        """Each function with its number of code lines: no blanks, comments or docstrings."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{self.path}:{node.lineno} {node.name}", self._code_lines(node)

    def _code_lines(self, function: Function) -> int:
        last = function.end_lineno or function.lineno
        numbers = set(range(function.lineno, last + 1))
        first = function.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            numbers -= set(range(first.lineno, (first.end_lineno or 0) + 1))
        lines = (self.lines[number - 1].strip() for number in numbers)
        return sum(1 for line in lines if line and not line.startswith("#"))


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the project, the tests excepted."""
    rooms = (*SERVICE, "alembic", "devstack", "benchmarks")
    files = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return tuple(
        Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        for path in [*files, ROOT / "entrypoint.py"]
    )


def service() -> list[Source]:
    """Those of the running service."""
    return [source for source in sources() if source.room not in ("devstack", "benchmarks")]
