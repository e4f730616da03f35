"""All routes of the HTTP API, without the prefix."""

from http_api import about, documentation, ingest, vcons
from http_api.routing import Access, BodyKind, Route

ROUTES = (
    Route(
        "POST",
        "/vcon",
        ingest.post_vcon,
        {201: "The vCon as it is stored.", 404: "There is no such list."},
        "Store a vCon and queue it",
        query=ingest.Lists,
        body=BodyKind.VCON,
    ),
    Route(
        "GET",
        "/vcon/{vcon_uuid}",
        vcons.get_vcon,
        {200: "The vCon.", 404: "Neither Redis nor a storage has it."},
        "Read a vCon",
    ),
    Route(
        "GET",
        "/version",
        about.version,
        {200: "Version, commit and build time."},
        "The version",
        access=Access.OPEN,
        always=True,
    ),
    Route(
        "GET",
        "/health",
        about.health,
        {200: "The process answers."},
        "Whether the process answers",
        access=Access.OPEN,
        always=True,
    ),
    Route(
        "GET",
        "/docs",
        documentation.swagger_ui,
        {200: "The page."},
        "This API as a page to try it on",
        access=Access.OPEN,
        always=True,
    ),
    Route(
        "GET",
        "/docs/{name}",
        documentation.page_file,
        {200: "The file.", 404: "There is no such file."},
        "The files of the pages",
        access=Access.OPEN,
        always=True,
    ),
    Route(
        "GET",
        "/redoc",
        documentation.redoc,
        {200: "The page."},
        "This API as a page to read",
        access=Access.OPEN,
        always=True,
    ),
    Route(
        "GET",
        "/openapi.json",
        documentation.openapi,
        {200: "The document."},
        "This API as an OpenAPI document",
        access=Access.OPEN,
        always=True,
    ),
)
