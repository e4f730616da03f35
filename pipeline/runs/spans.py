"""Spans around runs, links and storages, put there from outside and only where traces are sent.

Names and attributes are vcon-server's, so what was made for its traces fits these, too.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from core.observability.tracing import Attributes, Span, Spans
from pipeline.plugins.loader import LoadedLink, LoadedStorage, Plugins
from pipeline.runs.run_state import current_run


def with_spans(plugins: Plugins, spans: Spans) -> Plugins:
    """The same plugins, each call of a link and each write to a storage with a span around it."""
    return replace(
        plugins,
        links={spec: _traced_link(link, spans) for spec, link in plugins.links.items()},
        storages={spec: _traced_storage(each, spans) for spec, each in plugins.storages.items()},
    )


def _traced_link(link: LoadedLink, spans: Spans) -> LoadedLink:
    def about(vcon_uuid: str) -> Attributes:
        live = current_run.get()
        where: Attributes = {"link_index": live.progress.links_done} if live else {}
        return {"vcon_id": vcon_uuid, "link_name": link.name, **where, **_chain()}

    def outcome(span: Span, returned: Any) -> None:
        span.say("outcome", "success" if returned else "halt")

    run = _traced(link.run, link.is_async, spans, f"link.{link.name}", about, outcome)
    return replace(link, run=run)


def _traced_storage(storage: LoadedStorage, spans: Spans) -> LoadedStorage:
    def about(vcon_uuid: str) -> Attributes:
        return {"vcon_id": vcon_uuid, "storage_name": storage.name, **_chain()}

    name = f"storage.{storage.name}"
    save = _traced(storage.save, storage.is_async, spans, name, about, lambda *_: None)
    return replace(storage, save=save)


def _chain() -> Attributes:
    live = current_run.get()
    return {"chain_name": live.chain.name} if live else {}


def _traced(
    function: Callable[..., Any],
    is_async: bool,
    spans: Spans,
    name: str,
    about: Callable[[str], Attributes],
    outcome: Callable[[Span, Any], None],
) -> Callable[..., Any]:
    @wraps(function)
    async def awaited(vcon_uuid: str, *arguments: Any) -> Any:
        with spans.span(name, about(vcon_uuid)) as span:
            returned = await function(vcon_uuid, *arguments)
            outcome(span, returned)
            return returned

    @wraps(function)
    def called(vcon_uuid: str, *arguments: Any) -> Any:
        with spans.span(name, about(vcon_uuid)) as span:
            returned = function(vcon_uuid, *arguments)
            outcome(span, returned)
            return returned

    return awaited if is_async else called
