"""Options for access to OpenAI, Azure or a LiteLLM proxy, with vcon-server's names."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from lib.options import vendor_variable
from lib.web.http_retry import HttpRetryOptions

AZURE_VERSION = "2024-10-21"
UNSET = SecretStr("")

_PROVIDERS = (
    {"vertex_ai": "google"}
    | {
        name: name
        for name in ("openai", "azure", "anthropic", "google", "mistral", "meta", "cohere", "groq")
    }
    | {"bedrock": "bedrock"}
)
_FAMILIES = {
    "claude": "anthropic",
    "gpt-": "openai",
    "chatgpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "gemini": "google",
    "mistral": "mistral",
    "mixtral": "mistral",
    "llama": "meta",
    "meta-llama": "meta",
    "command": "cohere",
}

_MISSING = (
    "credentials are missing: set OPENAI_API_KEY (or api_key), or AZURE_OPENAI_ENDPOINT with "
    "AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN, or LITELLM_PROXY_URL with LITELLM_MASTER_KEY, "
    "here or in the environment"
)


_VARIABLES = (
    *("LITELLM_PROXY_URL", "LITELLM_MASTER_KEY", "OPENAI_API_KEY"),
    *("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
)
_PRINCIPALS = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")
"""Azure's credentials, of which a call has one."""
_VERSIONS = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")
"""The variables of the version of Azure's API; the second one is that of OpenAI's library."""

USAGE_URL = "a URL to which the tokens or seconds used by each call are posted"
USAGE_TOKEN = "the bearer token for that URL"  # noqa: S105 -- a description
"""The descriptions of two options, shared by several plugins."""


class UsageOptions(HttpRetryOptions):
    """Options for reporting the vendor's billed usage."""

    send_ai_usage_data_to_url: str = Field("", description=USAGE_URL)
    ai_usage_api_token: SecretStr = Field(UNSET, description=USAGE_TOKEN)


class ProxyOptions(UsageOptions):
    """Options for a LiteLLM proxy, which is used instead of the vendor."""

    litellm_proxy_url: str = Field(
        "",
        alias="LITELLM_PROXY_URL",
        description="a LiteLLM proxy, which takes precedence over the other credentials",
    )
    litellm_master_key: SecretStr = Field(
        UNSET, alias="LITELLM_MASTER_KEY", description="the proxy's key"
    )

    @property
    def has_proxy(self) -> bool:
        """Whether both the proxy's URL and its key are set."""
        return bool(self.litellm_proxy_url.strip() and _shown(self.litellm_master_key))


class OpenAIOptions(ProxyOptions):
    """Credentials for OpenAI, Azure or a LiteLLM proxy."""

    azure_endpoint: str = Field(
        "", alias="AZURE_OPENAI_ENDPOINT", description="the endpoint of an Azure OpenAI resource"
    )
    azure_key: SecretStr = Field(
        UNSET, alias="AZURE_OPENAI_API_KEY", description="the key of the Azure OpenAI resource"
    )
    azure_token: SecretStr = Field(
        UNSET,
        alias="AZURE_OPENAI_AD_TOKEN",
        description="+ a token of Microsoft Entra ID, instead of the key of the Azure OpenAI "
        "resource",
    )
    azure_version: str = Field(
        "",
        alias="AZURE_OPENAI_API_VERSION",
        description="the version of Azure's API; unset: the variable of this name or "
        f"`OPENAI_API_VERSION`, else {AZURE_VERSION}",
    )
    key: SecretStr = Field(
        UNSET,
        alias="OPENAI_API_KEY",
        description="OpenAI's key; without any credentials here: the variables of these names",
    )
    openai_api_key: SecretStr = Field(UNSET, description="another name of `OPENAI_API_KEY`")
    api_key: SecretStr = Field(UNSET, description="another name of `OPENAI_API_KEY`")
    organization: str = Field("", description="OpenAI's organization")
    organization_key: str = Field("", description="another name of `organization`")
    project: str = Field("", description="OpenAI's project")
    project_key: str = Field("", description="another name of `project`")

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        credentials(self.access)
        return self

    @cached_property
    def access(self) -> dict[str, Any]:
        """These options as `lib.openai_client` takes them; contains the keys in plain text."""
        shown = self.model_dump(by_alias=True, include=set(OpenAIOptions.model_fields))
        return {name: _shown(value) for name, value in shown.items()} | {
            "model": getattr(self, "model", "")
        }


def credentials(opts: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The API to use (`litellm`, `azure` or `openai`), and the arguments of its client.

    The options decide; what they lack for an API is taken from the variables of the same names.
    With one of Azure's credentials in the options, no variable of the other one counts.

    Raises:
        ValueError: if no API has complete credentials.
    """
    found = _complete(opts) or _complete(_with_variables(opts))
    if found is None:
        raise ValueError(_MISSING)
    api, access = found
    account = {
        "organization": _first(opts, "organization", "organization_key") or None,
        "project": _first(opts, "project", "project_key") or None,
    }
    return api, access if api == "azure" else {**access, **account}


def _complete(opts: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    proxy, proxy_key = _first(opts, "LITELLM_PROXY_URL"), _first(opts, "LITELLM_MASTER_KEY")
    if proxy and proxy_key:
        return "litellm", {"base_url": proxy.rstrip("/"), "api_key": proxy_key}
    if (endpoint := _first(opts, "AZURE_OPENAI_ENDPOINT")) and (login := _azure_login(opts)):
        version = _first(opts, _VERSIONS[0]) or _first_variable(*_VERSIONS) or AZURE_VERSION
        return "azure", {"azure_endpoint": endpoint, **login, "api_version": version}
    if key := _first(opts, "OPENAI_API_KEY", "openai_api_key", "api_key"):
        return "openai", {"api_key": key}
    return None


def _azure_login(opts: Mapping[str, Any]) -> dict[str, str]:
    """The token, which counts before the key, as in OpenAI's library; empty without both."""
    if token := _first(opts, "AZURE_OPENAI_AD_TOKEN"):
        return {"azure_ad_token": token}
    key = _first(opts, "AZURE_OPENAI_API_KEY")
    return {"api_key": key} if key else {}


def _with_variables(opts: Mapping[str, Any]) -> dict[str, Any]:
    """The options, and the variables of those that are unset."""
    given = {name: value for name, value in opts.items() if str(value or "").strip()}
    names = [each for each in _VARIABLES if not (each in _PRINCIPALS and _azure_login(given))]
    return {**{name: vendor_variable(name) for name in names}, **given}


def _first_variable(*names: str) -> str:
    return next(filter(None, map(vendor_variable, names)), "")


def infer_vendor(opts: Mapping[str, Any]) -> str:
    """The vendor of the model; see `lib.openai_client.get_vendor_from_opts`."""
    try:
        kind, _ = credentials(opts)
    except ValueError:
        return "openai"
    if kind != "litellm":
        return kind
    provider, _, name = str(opts.get("model") or "").lower().rpartition("/")
    known = _PROVIDERS.get(provider.partition("/")[0])
    families = (vendor for start, vendor in _FAMILIES.items() if name.startswith(start))
    return known or next(families, kind)


def _first(opts: Mapping[str, Any], *names: str) -> str:
    """The first of several options that is not blank, stripped."""
    return next((text for name in names if (text := str(opts.get(name) or "").strip())), "")


def _shown(value: object) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
