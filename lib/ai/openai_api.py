"""Requests to the API that OpenAI, Azure and LiteLLM proxies share, over the service's own client.

OpenAI's library converts each request and answer between several of its classes: a chat takes ten
times the CPU time of the bare request through it, and its import a second. It remains for plugins
that import it (`lib.openai_client`), and for storages with further parts of the API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lib.openai_options import credentials
from lib.options import vendor_variable
from lib.web.answers import malformed
from lib.web.http_retry import HttpRetry
from lib.web.json_api import call_json

BASE = "https://api.openai.com/v1"
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of one answer: a transcript may have a time for each word."""
_OF_DEPLOYMENTS = frozenset({"chat/completions", "embeddings", "audio/transcriptions"})
"""The parts of the API for which Azure has the model in the path."""


@dataclass(frozen=True, slots=True)
class OpenAIApi:
    """Where requests go, and the headers with the key. `is_azure`: models stand in the path."""

    base: str
    headers: Mapping[str, str]
    is_azure: bool = False
    query: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "OpenAIApi":
        """The API for options as `lib.openai_client` takes them.

        OpenAI's own variables OPENAI_BASE_URL, OPENAI_ORG_ID and OPENAI_PROJECT_ID apply as in its
        library.

        Raises:
            ValueError: if the options have no complete credentials.
        """
        kind, given = credentials(options)
        if kind == "azure":
            base = f"{given['azure_endpoint'].rstrip('/')}/openai"
            query = f"?api-version={quote(given['api_version'])}"
            token = given.get("azure_ad_token")
            login = {"authorization": f"Bearer {token}"} if token else {"api-key": given["api_key"]}
            return cls(base, login, is_azure=True, query=query)
        account = {
            "openai-organization": given["organization"] or vendor_variable("OPENAI_ORG_ID"),
            "openai-project": given["project"] or vendor_variable("OPENAI_PROJECT_ID"),
        }
        key = {"authorization": f"Bearer {given['api_key']}"}
        base = given.get("base_url") or vendor_variable("OPENAI_BASE_URL") or BASE
        headers = key | {name: value for name, value in account.items() if value}
        return cls(base.rstrip("/"), headers)

    async def ask(
        self,
        part: str,
        model: str,
        *,
        server: str,
        retry: HttpRetry,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> dict[str, Any]:
        """The answer to a POST to a part of the API, such as `chat/completions`.

        `content` is `json` or `data` with `files`, without the model.

        Raises:
            VendorError: if the last attempt failed, or the answer is no object.
        """
        body = "json" if "json" in content else "data"
        answer = await call_json(
            "POST",
            self._url(part, model),
            server=server,
            retry=retry,
            headers={**self.headers, **(headers or {})},
            most_bytes=MOST_BYTES,
            follow_redirects=True,
            **{**content, body: {"model": model, **content.get(body, {})}},
        )
        if not isinstance(answer.body, dict):
            raise malformed(server, "an object", answer.body)
        return answer.body

    def _url(self, part: str, model: str) -> str:
        in_path = self.is_azure and part in _OF_DEPLOYMENTS
        deployment = f"deployments/{quote(model, safe='')}/" if in_path else ""
        return f"{self.base}/{deployment}{part}{self.query}"


def numbers(usage: object, *names: str) -> tuple[float, ...] | None:
    """The billed numbers of an answer's `usage`, in this order, missing ones as 0; None without."""
    if not isinstance(usage, Mapping):
        return None
    found = (usage.get(name) for name in names)
    return tuple(each if isinstance(each, int | float) else 0 for each in found)


def without_none(value: Any) -> Any:
    """The value without members of objects that are None."""
    if isinstance(value, dict):
        return {name: without_none(each) for name, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value
