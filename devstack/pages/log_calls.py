"""Reads the service's log calls from its source: level, message, fields and place of each.

A call is any `log.warning(...)`, `logger.exception(...)` and so on. Its fields are those of
`extra`, followed through variables, `**` and functions of the service that return a dict. Fields
that `core.request_context` adds to every line of a request or run are not among them.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = (
    "app",
    "core",
    "pipeline",
    "actions",
    "events",
    "http_api",
    "schemas",
    "links",
    "storage",
    "tracers",
    "lib",
    "flowlang",
)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
METHODS = {level.lower(): level for level in LEVELS} | {"exception": "ERROR", "warn": "WARNING"}
LOGGERS = ("log", "logger", "logging")
PLUGIN_FIELDS = ("link", "storage", "tracer")
VARIABLE_FIELDS = {"Plugin": PLUGIN_FIELDS, "self.kind": PLUGIN_FIELDS}
"""Fields whose name only the running code knows: a parameter's type, or an expression."""

type Function = ast.FunctionDef | ast.AsyncFunctionDef
type Functions = dict[str, list[tuple["File", Function]]]


class UnreadableCallError(Exception):
    """A log call whose level, message or fields cannot be told from the source; says where."""


@dataclass(frozen=True, slots=True)
class LogCall:
    """One place in the code that writes a line. `levels` are all that it may have."""

    levels: tuple[str, ...]
    message: str
    is_literal: bool
    fields: tuple[str, ...]
    has_traceback: bool
    path: str
    line: int

    @property
    def room(self) -> str:
        """The folder of the file."""
        return str(Path(self.path).parent)

    @property
    def place(self) -> str:
        """File and line, to look there."""
        return f"{self.path}:{self.line}"

    def is_at_least(self, level: str) -> bool:
        """Whether any of its levels is this one or a higher one."""
        return any(LEVELS.index(each) >= LEVELS.index(level) for each in self.levels)


@dataclass(frozen=True, slots=True)
class File:
    """A parsed file of the service."""

    path: str
    tree: ast.Module

    def calls(self) -> Iterator[tuple[ast.Call, str, Function | None]]:
        """Each log call with the name of its method and the innermost function around it."""
        for function, node in _with_function(self.tree, None):
            if isinstance(node, ast.Call):
                for call, method in _log_calls_in(node):
                    yield call, method, function

    def source_of(self, name: str) -> str | None:
        """The file that a name is imported from, if it is imported."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and any(each.name == name for each in node.names):
                return f"{(node.module or '').replace('.', '/')}.py"
        return None


def service_files(root: Path = ROOT) -> list[File]:
    """All files of the running service."""
    paths = [path for room in ROOMS for path in sorted((root / room).rglob("*.py"))]
    paths.append(root / "entrypoint.py")
    return [parsed(str(path.relative_to(root)), path.read_text("utf-8")) for path in paths]


def parsed(path: str, text: str) -> File:
    """A file by its text."""
    return File(path, ast.parse(text))


def log_calls(files: Sequence[File] | None = None) -> list[LogCall]:
    """Every log call, in the order of the files.

    Raises:
        UnreadableCallError: when level, message or fields of one are computed in a way that this
            reader does not follow.
    """
    files = service_files() if files is None else files
    functions = _functions(files)
    return [
        _Reader(file, functions, function).read(call, method)
        for file in files
        for call, method, function in file.calls()
    ]


def _functions(files: Iterable[File]) -> Functions:
    found: Functions = {}
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, []).append((file, node))
    return found


def _with_function(
    node: ast.AST, function: Function | None
) -> Iterator[tuple[Function | None, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        yield function, child
        inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _with_function(child, inner)


def _log_calls_in(call: ast.Call) -> Iterator[tuple[ast.Call, str]]:
    """The call itself, or the one that is made of it: `context.run(log.warning, "text")`."""
    if (method := log_method(call.func)) is not None:
        yield call, method
    for index, argument in enumerate(call.args, 1):
        if (method := log_method(argument)) is not None:
            handed = ast.Call(argument, call.args[index:], call.keywords)
            yield ast.copy_location(handed, call), method


def log_method(expression: ast.AST) -> str | None:
    """The name of the method, where the expression is `log.warning` or the like."""
    if not isinstance(expression, ast.Attribute) or expression.attr not in (*METHODS, "log"):
        return None
    receiver = ast.unparse(expression.value)
    name = receiver.rsplit(".", 1)[-1].strip("_").lower()
    return expression.attr if name in LOGGERS or "getLogger(" in receiver else None


class _Reader:
    """Reads one call of a file, inside a function of it."""

    def __init__(self, file: File, functions: Functions, function: Function | None) -> None:
        self._file = file
        self._functions = functions
        self._function = function

    def read(self, call: ast.Call, method: str) -> LogCall:
        first, *others = call.args
        levels = (METHODS[method],) if method in METHODS else self._levels(first)
        message = first if method in METHODS else others[0]
        literal = message.value if isinstance(message, ast.Constant) else None
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        fields = self._fields(given["extra"]) if "extra" in given else []
        return LogCall(
            levels=levels,
            message=literal if isinstance(literal, str) else ast.unparse(message),
            is_literal=isinstance(literal, str),
            fields=tuple(dict.fromkeys(fields)),
            has_traceback=method == "exception" or "exc_info" in given,
            path=self._file.path,
            line=call.lineno,
        )

    def _levels(self, expression: ast.expr) -> tuple[str, ...]:
        named = {
            node.attr
            for value in self._behind(expression)
            for node in ast.walk(value)
            if isinstance(node, ast.Attribute) and node.attr in LEVELS
        }
        if not named:
            raise self._unreadable(expression, "level")
        return tuple(sorted(named, key=LEVELS.index))

    def _behind(self, expression: ast.expr, depth: int = 3) -> Iterator[ast.expr]:
        """The expression, and what was assigned to the names in it."""
        yield expression
        if depth:
            for node in ast.walk(expression):
                if isinstance(node, ast.Name):
                    for value in _assigned(self._file.tree, node.id):
                        yield from self._behind(value, depth - 1)

    def _fields(self, expression: ast.expr) -> list[str]:  # noqa: PLR0911 -- one for each form
        match expression:
            case ast.Dict(keys, values):
                items = zip(keys, values, strict=True)
                return [name for key, value in items for name in self._item(key, value)]
            case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
                return self._fields(one) + self._fields(other)
            case ast.DictComp(generators=[ast.comprehension(iter=items), *_]):
                return self._fields(_mapping_of(items))
            case ast.Call(ast.Name("dict"), [inner]):
                return self._fields(inner)
            case ast.Call(ast.Name(name) | ast.Attribute(_, name)):
                return self._returned(expression, name)
            case ast.Name(name):
                return self._of_variable(expression, name)
        return list(self._variable(expression))

    def _item(self, key: ast.expr | None, value: ast.expr) -> list[str]:
        if key is None:
            return self._fields(value)
        if isinstance(key, ast.Constant):
            return [str(key.value)]
        return list(self._variable(key))

    def _variable(self, expression: ast.expr) -> tuple[str, ...]:
        try:
            return VARIABLE_FIELDS[ast.unparse(expression)]
        except KeyError:
            raise self._unreadable(expression, "fields") from None

    def _returned(self, call: ast.expr, name: str) -> list[str]:
        """The fields of the dicts that a function returns: one of this file, or an imported one.

        A method of another file is known by its name, if no other function is called so.
        """
        homes = (self._file.path, self._file.source_of(name))
        is_method = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        known = self._functions.get(name, [])
        candidates = [each for each in known if _is_method(each[1]) == is_method]
        found = [each for each in candidates if each[0].path in homes] or candidates
        readers = [(_Reader(file, self._functions, node), node) for file, node in found]
        if not readers or len({reader._file.path for reader, _ in readers}) > 1:
            raise self._unreadable(call, "fields")
        return [
            field
            for reader, function in readers
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value is not None
            for field in reader._fields(node.value)
        ]

    def _of_variable(self, expression: ast.expr, name: str) -> list[str]:
        scope = self._function or self._file.tree
        found = [field for value in _assigned(scope, name) for field in self._fields(value)]
        for key in _keys_set(scope, name):
            found += self._item(key, key)
        if self._function is not None:
            arguments = self._function.args
            for argument in (*arguments.args, *arguments.kwonlyargs):
                if argument.arg == name and argument.annotation is not None:
                    found += self._variable(argument.annotation)
        if not found:
            raise self._unreadable(expression, "fields")
        return found

    def _unreadable(self, node: ast.expr, what: str) -> UnreadableCallError:
        text = f"{self._file.path}:{node.lineno}: the {what} of this log call cannot be told: "
        return UnreadableCallError(text + ast.unparse(node))


def _is_method(function: Function) -> bool:
    return bool(function.args.args) and function.args.args[0].arg in ("self", "cls")


def _mapping_of(items: ast.expr) -> ast.expr:
    """`known` of `known.items()`."""
    match items:
        case ast.Call(ast.Attribute(mapping, "items")):
            return mapping
    return items


def _assigned(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """All values that the name is given in a scope, also with `|=` and `:=`."""
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield value
            case (
                ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value)
                | ast.AugAssign(target=ast.Name(id=found), value=value)
                | ast.NamedExpr(target=ast.Name(id=found), value=value)
            ) if found == name:
                yield value


def _keys_set(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """The keys of `name[key] = ...`."""
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[ast.Subscript(ast.Name(id=found), key)]) if found == name:
                yield key
