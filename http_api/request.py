"""One request: its parameters, headers and body, and the parts of the service it may use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.types import Receive, Scope

from core.interfaces import Pipeline
from core.settings import Settings
from http_api.errors import ParametersError, malformed
from http_api.serving.admission import Place
from http_api.serving.body import Body, MemoryShare, as_utf8, read_body

MOST_PARAMETERS = 10_000
"""Query parameters of one request at most."""
_UUIDS = TypeAdapter(list[UUID])


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the service that handlers use."""

    pipeline: Pipeline
    settings: Settings
    openapi: bytes
    """The description of the API."""


class Request[Parameters: BaseModel]:
    """A request of a route; `query` holds its query parameters, checked."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        values: Mapping[str, str],
        context: Context,
        memory: MemoryShare,
        place: Place,
    ) -> None:
        """`values`: the parameters in the path, as text. `memory` counts the body."""
        self.scope = scope
        self.context = context
        self.query: Parameters
        self._receive = receive
        self._values = values
        self._memory = memory
        self.place = place

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline."""
        return self.context.pipeline

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.context.settings

    @cached_property
    def _headers(self) -> dict[bytes, bytes]:
        """The headers by their names in lower case; of repeated ones the first."""
        return dict(reversed(self.scope["headers"]))

    def header(self, name: str) -> str | None:
        """The first header of this name, which is in lower case; None without one."""
        value = self._headers.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def path_value[T](self, name: str, kind: TypeAdapter[T]) -> T:
        """A parameter of the path.

        Raises:
            ParametersError: it is not of this kind.
        """
        try:
            return kind.validate_python(self._values[name])
        except ValidationError as error:
            raise ParametersError.of(error, "path", name) from None

    async def received(self, limit: int) -> Body:
        """The body of at most `limit` bytes, as received, and unpacked.

        Raises:
            TooLargeError: it has more; also the other errors of `read_body`.
        """
        return await read_body(self._receive, self.scope["headers"], limit, self._memory)

    async def body(self) -> Body:
        """The body, as received, and unpacked in UTF-8; the request counts as in work from here.

        A slow client does not take a place of API_MAX_CONCURRENCY while it sends the body.

        Raises:
            TooLargeError: it has more than MAX_VCON_BYTES; also the other errors of `read_body`.
            UnavailableError: too many requests are in work.
        """
        body = await self.received(self.settings.max_vcon_bytes)
        await self.place.take()
        return Body(body.raw, as_utf8(body.content))

    async def uuids(self, most: int) -> list[str]:
        """The body as a JSON array of uuids, in canonical form, under any content type.

        Raises:
            MalformedError: it is not JSON.
            ParametersError: it is no array, has more than `most` elements, or one is no uuid.
        """
        try:
            given = orjson.loads((await self.body()).content)
        except orjson.JSONDecodeError as error:
            raise malformed(error) from None
        if isinstance(given, list) and len(given) > most:  # before each may become a problem
            raise ParametersError.because(f"at most {most} uuids are taken at once", "body")
        try:
            return [str(each) for each in _UUIDS.validate_python(given)]
        except ValidationError as error:
            raise ParametersError.of(error, "body") from None


def read_query[Parameters: BaseModel](scope: Scope, model: type[Parameters]) -> Parameters:
    """The query parameters that `model` has; of a repeated one that is not a list, the last.

    Raises:
        ParametersError: one is missing or not valid.
    """
    try:
        text = scope["query_string"].decode("latin-1")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise ParametersError.because(
            f"at most {MOST_PARAMETERS} query parameters are read", "query"
        ) from error
    given: dict[str, Any] = {}
    for text, value in pairs:
        name = parameter_name(text)
        if name in _lists(model):
            given.setdefault(name, []).append(value)
        elif name in model.model_fields:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ParametersError.of(error, "query") from None


_INDEX = re.compile(r"\[\d{0,9}\]$")


def parameter_name(text: str) -> str:
    """The name without `[]` or `[0]`, which some HTTP libraries add to the names of lists."""
    return _INDEX.sub("", text) if text.endswith("]") else text


def _lists(model: type[BaseModel]) -> frozenset[str]:
    found = _LISTS.get(model)
    if found is None:
        found = _LISTS[model] = frozenset(
            name
            for name, schema in model.model_json_schema().get("properties", {}).items()
            if schema.get("type") == "array"
        )
    return found


_LISTS: dict[type[BaseModel], frozenset[str]] = {}
"""The list parameters of each model that was used."""
