"""OpenAI's own client for plugins, or one for Azure or a LiteLLM proxy, as their options say.

Plugins of vcon-server import this under these names. Keys come from the options alone; where OpenAI
is, from its own `OPENAI_BASE_URL`. The clients repeat nothing by themselves unless asked to.
"""

from collections.abc import Mapping
from typing import Any

from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from lib.openai_options import credentials, infer_vendor
from lib.web.http_client import kept

__all__ = ["get_async_openai_client", "get_openai_client", "get_vendor_from_opts"]

TIMEOUT = 120.0
"""Seconds for one request, unless the caller says otherwise."""

type Options = Mapping[str, Any] | None


def get_openai_client(opts: Options = None, max_retries: int = 0) -> OpenAI:
    """A client that waits.

    Raises:
        ValueError: for options without any credentials.
    """
    kind, arguments = credentials(opts or {})
    make = AzureOpenAI if kind == "azure" else OpenAI
    return make(**arguments, timeout=TIMEOUT, max_retries=max_retries)


def get_async_openai_client(opts: Options = None, *, timeout: float = TIMEOUT) -> AsyncOpenAI:
    """A client for the running event loop, which keeps it for whoever asks for the same.

    Raises:
        ValueError: for options without any credentials.
    """
    kind, arguments = credentials(opts or {})
    make = AsyncAzureOpenAI if kind == "azure" else AsyncOpenAI
    return kept(
        (kind, timeout, *sorted(arguments.items(), key=str)),
        lambda: make(**arguments, timeout=timeout, max_retries=0),
    )


def get_vendor_from_opts(opts: Options = None) -> str:
    """Whose model the options mean, as an analysis names its vendor.

    Behind a LiteLLM proxy that is read off the model's name; `litellm` if that says nothing.
    """
    return infer_vendor(opts or {})
