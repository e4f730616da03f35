"""`python -m devstack.pages.http_api_page` writes the table of endpoints into docs/http-api.md."""

from collections.abc import Iterator
from pathlib import Path

from devstack.pages.schema_words import Schema, as_yaml
from http_api.routes import ROUTES
from http_api.routing import Access, Route

PAGE = Path(__file__).parents[2] / "docs" / "http-api.md"
BEGIN = "<!-- endpoints: begin -->\n"
END = "<!-- endpoints: end -->\n"

HEAD = "| endpoint | needs | parameters | success | other answers |\n|---|---|---|---|---|\n"
NEEDS = {Access.OPEN: "", Access.TOKEN: "token", Access.PARTNER: "partner's key"}


def table() -> str:
    """The rows of all routes."""
    return HEAD + "".join(f"{_row(route)}\n" for route in ROUTES)


def page(text: str) -> str:
    """The page with the table of now in place of the one that it has."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        msg = f"{PAGE} lacks the lines {BEGIN.strip()} and {END.strip()}"
        raise ValueError(msg)
    return before + BEGIN + table() + END + after


def _row(route: Route) -> str:
    (status, words), *others = route.answers.items()
    cells = (
        f"`{route.method} {route.path}` {route.summary}",
        NEEDS[route.access],
        ", ".join(_parameters(route)),
        f"{status} {words}",
        " ".join(f"{code} {meaning}" for code, meaning in others),
    )
    return f"| {' | '.join(cells)} |"


def _parameters(route: Route) -> Iterator[str]:
    schema = route.query.model_json_schema()
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield f"`{name}`{' (required)' if name in required else _default(field)}"
    for name in route.headers:
        yield f"header `{name}`"


def _default(field: Schema) -> str:
    default = field.get("default")
    return f" ({as_yaml(default)})" if default not in (None, [], "") else ""


def main() -> None:
    """Write the table."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
