"""Whom the options of plugins mean that ask a language model, and which vCons they are for."""

from collections.abc import Iterable
from typing import Any

import pytest

from lib.ai.openai_api import OpenAIApi
from lib.links.filters import is_included, is_sampled, randomly_execute_with_sampling
from lib.openai_options import OpenAIOptions, credentials, infer_vendor

OPENAI = {"OPENAI_API_KEY": "open"}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://azure.example", "AZURE_OPENAI_API_KEY": "blue"}
LITELLM = {"LITELLM_PROXY_URL": "https://proxy.example/", "LITELLM_MASTER_KEY": "light"}
NOTHING_ELSE = {"organization": None, "project": None}


@pytest.mark.parametrize(
    ("options", "kind", "arguments"),
    [
        (OPENAI, "openai", {"api_key": "open", **NOTHING_ELSE}),
        ({"openai_api_key": " k "}, "openai", {"api_key": "k", **NOTHING_ELSE}),
        ({"api_key": "k"}, "openai", {"api_key": "k", **NOTHING_ELSE}),
        (
            OPENAI | {"organization_key": "o", "project": "p"},
            "openai",
            {"api_key": "open", "organization": "o", "project": "p"},
        ),
        (
            OPENAI | AZURE,
            "azure",
            {
                "api_key": "blue",
                "azure_endpoint": "https://azure.example",
                "api_version": "2024-10-21",
            },
        ),
        (
            OPENAI | AZURE | LITELLM,
            "litellm",
            {"api_key": "light", "base_url": "https://proxy.example", **NOTHING_ELSE},
        ),
        (OPENAI | {"LITELLM_PROXY_URL": "https://proxy.example"}, "openai", None),
        (OPENAI | {"AZURE_OPENAI_ENDPOINT": "https://azure.example"}, "openai", None),
    ],
)
def test_the_first_complete_credentials_count(
    options: dict[str, Any], kind: str, arguments: dict[str, Any] | None
) -> None:
    """Those for a proxy before those for Azure, and OpenAI's own last."""
    found, given = credentials(options)
    assert found == kind
    assert arguments is None or given == arguments
    assert credentials(OpenAIOptions.of(options).access)[0] == kind


VARIABLES = {
    "OPENAI_API_KEY": "env-open",
    "AZURE_OPENAI_ENDPOINT": "https://env.example",
    "AZURE_OPENAI_API_KEY": "env-blue",
    "AZURE_OPENAI_AD_TOKEN": "env-token",
    "OPENAI_API_VERSION": "2025-01-01",
    "LITELLM_PROXY_URL": "https://env-proxy.example",
    "LITELLM_MASTER_KEY": "env-light",
}
AZURES = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")
ENDPOINT = {"AZURE_OPENAI_ENDPOINT": "https://azure.example"}
PLACE = {"azure_endpoint": "https://azure.example"}


@pytest.mark.parametrize(
    ("options", "variables", "kind", "some"),
    [
        ({}, ["OPENAI_API_KEY"], "openai", {"api_key": "env-open"}),
        ({}, AZURES, "azure", {"api_key": "env-blue", "api_version": "2024-10-21"}),
        ({}, [*AZURES, "AZURE_OPENAI_AD_TOKEN"], "azure", {"azure_ad_token": "env-token"}),
        ({}, [*AZURES, "OPENAI_API_VERSION"], "azure", {"api_version": "2025-01-01"}),
        (AZURE, ["OPENAI_API_VERSION"], "azure", {"api_version": "2025-01-01"}),
        (
            AZURE | {"AZURE_OPENAI_API_VERSION": "v"},
            ["OPENAI_API_VERSION"],
            "azure",
            {"api_version": "v"},
        ),
        (ENDPOINT, ["AZURE_OPENAI_API_KEY"], "azure", PLACE | {"api_key": "env-blue"}),
        (ENDPOINT, ["AZURE_OPENAI_AD_TOKEN"], "azure", {"azure_ad_token": "env-token"}),
        (ENDPOINT, [*AZURES], "azure", PLACE),
        (ENDPOINT | {"AZURE_OPENAI_AD_TOKEN": " t "}, [], "azure", {"azure_ad_token": "t"}),
        (AZURE | {"AZURE_OPENAI_AD_TOKEN": "t"}, [], "azure", {"azure_ad_token": "t"}),
        (AZURE, ["AZURE_OPENAI_AD_TOKEN"], "azure", {"api_key": "blue"}),
        (
            {"AZURE_OPENAI_API_KEY": "blue"},
            ["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN"],
            "azure",
            {"api_key": "blue"},
        ),
        (
            {"LITELLM_PROXY_URL": "https://proxy.example"},
            ["LITELLM_MASTER_KEY", "OPENAI_API_KEY"],
            "litellm",
            {"base_url": "https://proxy.example", "api_key": "env-light"},
        ),
        (OPENAI, [*VARIABLES], "openai", {"api_key": "open"}),
        ({"OPENAI_API_KEY": ""}, ["OPENAI_API_KEY"], "openai", {"api_key": "env-open"}),
    ],
)
def test_what_the_options_lack_comes_from_the_variables(
    options: dict[str, Any],
    variables: Iterable[str],
    kind: str,
    some: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of OpenAI's library; credentials of the options are never mixed with others."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, VARIABLES[name])
    for given in (options, OpenAIOptions.of(options).access):
        found, arguments = credentials(given)
        assert (found, {**arguments, **some}) == (kind, arguments)
        assert not {"api_key", "azure_ad_token"} <= arguments.keys()


def test_a_token_of_azure_is_a_bearer_token() -> None:
    """And a key has a header of its own; the token is shown nowhere."""
    options = ENDPOINT | {"AZURE_OPENAI_AD_TOKEN": "azure-token-5150"}
    assert OpenAIApi.of(options).headers == {"authorization": "Bearer azure-token-5150"}
    assert OpenAIApi.of(AZURE).headers == {"api-key": "blue"}
    assert "azure-token" not in repr(OpenAIOptions.of(options))


def test_incomplete_credentials_are_refused_without_showing_them() -> None:
    """With what has to be set."""
    with pytest.raises(ValueError, match="set OPENAI_API_KEY") as refusal:
        OpenAIOptions.of({"AZURE_OPENAI_API_KEY": "hidden-key"})
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "vendor"),
    [
        ({}, "openai"),
        (OPENAI | {"model": "claude-x"}, "openai"),
        (AZURE, "azure"),
        (LITELLM, "litellm"),
        (LITELLM | {"model": "claude-3-opus"}, "anthropic"),
        (LITELLM | {"model": "GPT-4o"}, "openai"),
        (LITELLM | {"model": "o3-mini"}, "openai"),
        (LITELLM | {"model": "gemini-pro"}, "google"),
        (LITELLM | {"model": "mixtral-8x7b"}, "mistral"),
        (LITELLM | {"model": "meta-llama-3"}, "meta"),
        (LITELLM | {"model": "command-r"}, "cohere"),
        (LITELLM | {"model": "vertex_ai/some-model"}, "google"),
        (LITELLM | {"model": "bedrock/anthropic/claude-3"}, "bedrock"),
        (LITELLM | {"model": "somebody/llama-3"}, "meta"),
        (LITELLM | {"model": "unheard-of"}, "litellm"),
    ],
)
def test_an_analysis_names_whose_model_it_is(options: dict[str, Any], vendor: str) -> None:
    """Behind a proxy by the provider or the family that the model's name has."""
    assert infer_vendor(options) == vendor


VCON = {
    "uuid": "u",
    "attachments": [
        {"purpose": "tags", "body": '["vip:yes", "topic:bikes"]', "encoding": "json"},
        {"type": "note", "body": "Call back on Monday"},
        {"purpose": "order", "body": {"id": "B-12"}},
    ],
    "analysis": [{"type": "summary", "body": "A broken bike."}],
}


@pytest.mark.parametrize(
    ("only_if", "included"),
    [
        (None, True),
        ({"section": "attachments", "type": "tags", "includes": "vip:yes"}, True),
        ({"section": "attachments", "purpose": "tags", "includes": "vip"}, False),
        ({"section": "attachments", "type": "note", "includes": "Monday"}, True),
        ({"section": "attachments", "type": "note", "includes": "Tuesday"}, False),
        ({"section": "attachments", "purpose": "order", "includes": "B-12"}, True),
        ({"section": "analysis", "type": "summary", "includes": "bike"}, True),
        ({"section": "analysis", "purpose": "summary", "includes": "bike"}, True),
        ({"section": "analysis", "type": "transcript", "includes": "bike"}, False),
        ({"section": "parties", "type": "x", "includes": "bike"}, False),
        ({"section": "analysis", "type": "summary"}, False),
        ({"type": "summary", "includes": "bike"}, False),
        ({"section": "analysis", "includes": "bike"}, False),
        ("summary", False),
    ],
)
def test_only_if_says_which_vcons_a_link_is_for(only_if: Any, included: bool) -> None:
    """A whole tag or a part of a text; a filter that is not whole lets nothing through."""
    assert is_included({"only_if": only_if}, VCON) is included


def test_without_options_every_vcon_is_included_and_executed() -> None:
    """As a plugin without an `options` block hands them on."""
    assert is_included(None, VCON)
    assert randomly_execute_with_sampling(None)
    assert is_sampled(None, "link", "vcon-1")


def test_a_share_of_all_vcons_is_sampled_and_always_the_same() -> None:
    """None at a rate of 0, all at 1 and where there is none, and so many in between."""
    uuids = [f"vcon-{number}" for number in range(2000)]

    def sampled(**options: Any) -> list[str]:
        return [each for each in uuids if is_sampled(options, "link", each)]

    assert sampled(sampling_rate=0) == []
    assert sampled(sampling_rate=1) == sampled() == sampled(sampling_rate=None) == uuids
    assert 500 < len(sampled(sampling_rate=0.3)) < 700
    assert sampled(sampling_rate=0.3) == sampled(sampling_rate=0.3)
    assert set(sampled(sampling_rate=0.3)) < set(sampled(sampling_rate=0.5))


def test_a_rate_of_0_never_executes() -> None:
    """Under vcon-server's own name for it, too."""
    assert not any(randomly_execute_with_sampling({"sampling_rate": 0}) for _ in range(100))
    assert all(randomly_execute_with_sampling({}) for _ in range(100))
