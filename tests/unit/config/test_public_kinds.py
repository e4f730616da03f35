"""Kinds of configurations that are written for vcon-server: accepted, or refused clearly."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from core.errors import ConfigurationError
from links.deepgram_link import Options as Deepgram
from links.hugging_face_whisper import Options as HuggingFace
from pipeline.config.broken import disabled
from pipeline.config.model import PipelineConfig
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from storage.elasticsearch.options import Options as Elasticsearch

VARIABLES = (
    *("OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "DEEPGRAM_KEY"),
    *("DEEPGRAM_API_KEY", "GROQ_API_KEY", "HF_TOKEN", "HUGGINGFACE_API_KEY"),
    *("LITELLM_PROXY_URL", "LITELLM_MASTER_KEY", "SLACK_BOT_TOKEN"),
)
KEY = "key-of-the-vendor-0123456789"


@pytest.fixture(autouse=True)
def _without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def chain_of(section: str, module: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A configuration with one plugin, and no options unless some are given."""
    entry = {"module": module} | ({} if options is None else {"options": options})
    chain = {section: ["it"], "ingress_lists": ["in"]}
    return {section: {"it": entry}, "chains": {"main": chain}}


CREDENTIALS = [
    ("links", "links.analyze", {"OPENAI_API_KEY": KEY}),
    ("links", "links.analyze_and_label", {"OPENAI_API_KEY": KEY}),
    ("links", "links.analyze_vcon", {"OPENAI_API_KEY": KEY}),
    ("links", "links.detect_engagement", {"OPENAI_API_KEY": KEY}),
    ("links", "links.openai_transcribe", {"OPENAI_API_KEY": KEY}),
    (
        "links",
        "links.analyze",
        {"AZURE_OPENAI_ENDPOINT": "https://a.example", "AZURE_OPENAI_API_KEY": KEY},
    ),
    ("links", "links.analyze", {"LITELLM_PROXY_URL": "http://l:1", "LITELLM_MASTER_KEY": KEY}),
    ("links", "links.deepgram_link", {"DEEPGRAM_KEY": KEY}),
    ("links", "links.deepgram_link", {"DEEPGRAM_API_KEY": KEY}),
    ("links", "links.groq_whisper", {"GROQ_API_KEY": KEY}),
    ("links", "links.hugging_face_whisper", {"HF_TOKEN": KEY}),
    ("links", "links.hugging_face_whisper", {"HUGGINGFACE_API_KEY": KEY}),
    ("links", "links.hugging_llm_link", {"HUGGINGFACE_API_KEY": KEY}),
]


@pytest.mark.parametrize(("section", "module", "variables"), CREDENTIALS)
def test_the_vendors_own_variables_are_enough(
    section: str, module: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin without options; without the variable, the message names it."""
    config = parse(chain_of(section, module), {})
    with pytest.raises(ConfigurationError, match=r"environment|extra") as refused:
        load(config)
    if "install the extra" in str(refused.value):
        pytest.skip("its library is an extra")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    load(config)


def test_options_come_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of one API in the environment does not replace that of another in the options."""
    monkeypatch.setenv("DEEPGRAM_KEY", "of the environment")
    assert Deepgram(DEEPGRAM_KEY=SecretStr(KEY)).own_key == KEY
    monkeypatch.setenv("HF_TOKEN", "of the environment")
    assert HuggingFace(API_KEY=SecretStr(KEY)).key == KEY
    from lib.openai_options import credentials

    monkeypatch.setenv("LITELLM_PROXY_URL", "http://proxy:1")
    monkeypatch.setenv("LITELLM_MASTER_KEY", "of the environment")
    given = {"api_key": KEY, "project": "p"}
    expected = {"api_key": KEY, "organization": None, "project": "p"}
    assert credentials(given) == ("openai", expected)
    assert credentials({"project": "p"})[0] == "litellm"


@pytest.mark.parametrize(
    "module",
    [
        *("links.tag", "links.sampler", "links.delay", "links.expire_vcon", "links.jq_link"),
        *("links.tag_router", "links.webhook", "links.diet", "storage.file", "storage.postgres"),
        *("storage.redis_storage", "storage.webhook", "tracers.jlinc"),
    ],
)
@pytest.mark.parametrize("options", [None, {}])
def test_plugins_without_options_have_their_defaults(
    module: str, options: dict[str, Any] | None
) -> None:
    """An `options:` with nothing below it as well."""
    room = module.partition(".")[0]
    section = {"storage": "storages"}.get(room, room)
    document = chain_of(section, module, options)
    load(parse(document, {}))
    document[section]["it"]["options"] = None
    load(parse(document, {}))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["http://a:9200", "http://b:9200"], ["http://a:9200", "http://b:9200"]),
        ("http://a:9200", ["http://a:9200"]),
        (["a:9200"], ["http://a:9200"]),
    ],
)
def test_hosts_of_elasticsearch(hosts: object, expected: list[str]) -> None:
    """Several, one, or without a scheme."""
    assert list(Elasticsearch.of({"hosts": hosts}).access()["hosts"]) == expected


@pytest.mark.parametrize("hosts", [["http://a", "https://b"], {"a": 1}, [], ["h"] * 51])
def test_hosts_that_are_none(hosts: object) -> None:
    """The certificate of one would be checked and that of the other not; or no address at all."""
    with pytest.raises(ValueError, match="hosts"):
        Elasticsearch.of({"hosts": hosts})


INLINE = """
storages:
  files: {module: storage.file, options: {path: "/a", compression: true}}
chains:
  one: {storages: [files], ingress_lists: [a]}
  two: {storages: [{files: {path: "${PLACE}"}}], ingress_lists: [b]}
"""


def inline(text: str, **environ: str) -> PipelineConfig:
    """The configuration of a text."""
    return parse(yaml.safe_load(text), environ)


def test_options_of_a_storage_in_its_chain() -> None:
    """It is a storage of its own: with its dead letters, and read from like the others."""
    config = inline(INLINE, PLACE="/b")
    [one], [two] = (chain.storages for chain in config.chains.values())
    assert (one.name, one.options["path"]) == ("files", "/a")
    assert (two.name, two.options) == ("files@two", {"path": "/b", "compression": True})
    assert list(config.storages) == ["files", "files@two"]
    assert set(load(config).storages) == {one, two}


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ("{nowhere: {}}", "no storage named 'nowhere'"),
        ("{files: {}, other: {}}", "must be a storage's name, or one name with its options"),
        ("{files: here}", "must be a mapping"),
        ("[files]", "must be the name of a storage"),
        ('{files: {path: "${MISSING}"}}', "the environment has no MISSING"),
    ],
)
def test_options_in_a_chain_that_are_wrong(item: str, problem: str) -> None:
    """With the place."""
    with pytest.raises(ConfigurationError, match=r"chains\.two\.storages\[0\]") as refused:
        inline(INLINE.replace('{files: {path: "${PLACE}"}}', item))
    assert problem in str(refused.value)


def test_a_name_that_a_storage_in_a_chain_would_have() -> None:
    """Two storages would share their dead letters."""
    more = INLINE.replace("storages:\n", "storages:\n  files@two: {module: storage.file}\n", 1)
    with pytest.raises(ConfigurationError, match="'files@two' is a storage already"):
        inline(more, PLACE="/b")


def test_a_variable_of_a_disabled_chain() -> None:
    """Nothing enabled needs it; its storage is not read from."""
    text = INLINE.replace("ingress_lists: [b]", "ingress_lists: [b], enabled: 0")
    assert inline(text).storages["files@two"].unset != ()


def test_a_broken_entry_below_a_storage_in_a_chain() -> None:
    """It concerns the chain, whose storage is made of it."""
    text = INLINE.replace('path: "/a"', 'path: "${MISSING}"')
    config = parse(yaml.safe_load(text), {"PLACE": "/b"}, on_broken="disable")
    assert [chain.name for chain in config.enabled_chains] == []


def test_options_beside_the_key() -> None:
    """They are ignored, as in vcon-server, and the note says where they belong."""
    config = inline("links: {tag: {module: links.tag, colour: [a]}}")
    assert "links.tag: options of a plugin are written below `options`, not beside it: colour" in (
        config.notes
    )


SAMPLE = """
imports:
  utility: {module: a_custom_utility, pip_name: a-custom-utility}
  older: some.older_module
links:
  transcribe: {module: links.transcribe, options: {transcribe_options: {model_size: base}}}
  script: {module: links.script, ingress-lists: [], egress-lists: []}
  tag: {module: links.tag, options: {tags: [a]}}
  own: {module: a_custom_link, pip_name: a-custom-link, options: {api_key: x}}
  client: {module: requests, options: {timeout: 30}}
storages:
  files: {module: storage.file, options: {path: /a}}
chains:
  sample: {links: [transcribe, script, tag], ingress_lists: [a], storages: [files], enabled: 1}
  custom: {links: [own, client], ingress_lists: [b], storages: [files], enabled: 1}
  plain: {links: [tag], ingress_lists: [c], storages: [files]}
"""


def test_a_sample_with_modules_that_do_not_exist() -> None:
    """It starts with a list of what is missing, as vcon-server's own sample does."""
    config = parse(yaml.safe_load(SAMPLE), {}, on_broken="disable")
    plugins = load(config)
    config = disabled(config, plugins.broken)
    assert [chain.name for chain in config.enabled_chains] == ["plain"]
    sample, custom = config.chains["sample"].broken, config.chains["custom"].broken
    assert any(each.startswith("links.script: no module named 'links.script'") for each in sample)
    assert custom[0].startswith("links.own: no module named 'a_custom_link'")
    assert custom[1].startswith("links.client:")  # no plugin, or not installed
    assert [note.partition(":")[0] for note in plugins.notes] == [
        "imports.utility",
        "imports.older",
    ]
