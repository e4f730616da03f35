"""OpenAI clients for plugins: for OpenAI, Azure or a LiteLLM proxy, depending on the options.

The names are vcon-server's. Keys come from the options only; the address of OpenAI's API can be
changed by the library's own variable `OPENAI_BASE_URL`. The clients do not retry by default.
"""

from collections.abc import Mapping
from typing import Any

from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from lib.openai_options import credentials, infer_vendor
from lib.web.http_client import following_client, kept

__all__ = ["get_async_openai_client", "get_openai_client", "get_vendor_from_opts"]

TIMEOUT = 120.0
"""The default timeout of one request, in seconds."""

type Options = Mapping[str, Any] | None


def get_openai_client(opts: Options = None, max_retries: int = 0) -> OpenAI:
    """A new synchronous client.

    Raises:
        ValueError: if the options have no complete credentials.
    """
    kind, arguments = credentials(opts or {})
    make = AzureOpenAI if kind == "azure" else OpenAI
    return make(**arguments, timeout=TIMEOUT, max_retries=max_retries)


def get_async_openai_client(opts: Options = None, *, timeout: float = TIMEOUT) -> AsyncOpenAI:
    """A client for the running event loop, cached per loop, credentials and timeout.

    Raises:
        ValueError: if the options have no complete credentials.
    """
    kind, arguments = credentials(opts or {})
    make: Any = AsyncAzureOpenAI if kind == "azure" else AsyncOpenAI
    client: AsyncOpenAI = kept(
        (kind, timeout, *sorted(arguments.items(), key=str)),
        lambda: make(**arguments, timeout=timeout, max_retries=0, http_client=following_client()),
    )
    return client


def get_vendor_from_opts(opts: Options = None) -> str:
    """The vendor of the model, as the `vendor` of an analysis.

    Behind a LiteLLM proxy it is derived from the model's name; `litellm` for an unknown name.
    """
    return infer_vendor(opts or {})
