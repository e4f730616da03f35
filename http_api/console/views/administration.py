"""Replicas, the configuration, and the audit."""

import yaml
from starlette.responses import Response

from core.concurrency.thread_pool import in_own_thread
from core.errors import InvalidError
from http_api.console.forms import chosen
from http_api.console.visit import Visit, texts_of
from schemas.operator.configuration import ConfigurationDiff

MOST_CONFIGURATION = 1024 * 1024
"""Bytes of a pasted configuration."""


async def replicas(visit: Visit) -> Response:
    """The processes, what each holds, and which are drained."""
    found = await visit.perform("replicas", visit.chosen("replica", "held"))
    return visit.page("replicas.html", found=found)


async def configuration(visit: Visit) -> Response:
    """The configuration as it runs, with masks in place of secrets."""
    shown = await visit.perform("config_show")
    text = await in_own_thread(_yaml, shown.document)
    return visit.page("configuration.html", shown=shown, text=text, diff=None, content="")


def _yaml(document: object) -> str:
    """Takes 2 us a byte, so it is called in a thread."""
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


async def compare(visit: Visit) -> Response:
    """What a pasted configuration would change."""
    content = visit.form.get("content", "")
    status = 200
    try:
        diff = await visit.perform("config_diff", {"content": content})
    except InvalidError as error:
        status = 400
        diff = ConfigurationDiff(
            same=False, hash_before="", hash_after=None, problems=texts_of(error)
        )
    return visit.page("configuration.html", status, diff=diff, content=content)


async def attempt(visit: Visit) -> Response:
    """What the vCons of recorded runs would come out as with a pasted configuration."""
    content, given = visit.form.get("content", ""), chosen(visit.form, "last", "chain")
    values = {"content": content, "last": given.get("last", "")}
    try:
        found = await visit.perform("try_configuration", {"content": content} | given)
    except InvalidError as error:
        return visit.page("trial.html", 400, found=None, problems=texts_of(error), **values)
    return visit.page("trial.html", 200, found=found, problems=[], **values)


async def audit(visit: Visit) -> Response:
    """Who changed what, and why; newest first."""
    arguments = visit.chosen("since", "before", "limit")
    found = await visit.perform("audit", arguments)
    return visit.page("audit.html", found=found, limit=int(arguments.get("limit", 50)))
