"""YAML 1.1 reads `no`, `1.10`, `0123`, `22:30` as something else: the start says "quote it"."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from pipeline.config import yaml_file
from pipeline.plugins import loader
from pipeline.plugins.loader import Plugins


def load(folder: Path, text: str) -> Plugins:
    """The plugins of a configuration of that text."""
    path = folder / "config.yml"
    path.write_text(text)
    return loader.load(yaml_file.read(path, {}))


def problem(folder: Path, text: str) -> str:
    """What is wrong with it, in one text."""
    with pytest.raises(ConfigurationError) as refused:
        load(folder, text)
    return "; ".join(refused.value.problems)


def link(module: str, options: str) -> str:
    """A configuration with one link in a chain."""
    return (
        f"links: {{it: {{module: {module}, options: {{{options}}}}}}}\n"
        "chains: {main: {links: [it], ingress_lists: [in]}}\n"
    )


def storage(options: str) -> str:
    """A configuration with a storage of files."""
    return (
        f"storages: {{it: {{module: storage.file, options: {{{options}}}}}}}\n"
        "chains: {main: {storages: [it], ingress_lists: [in]}}\n"
    )


TAGS = ["no", "on", "true", "1.10", "0123", "22:30", "0x10", "1_000", "2024-01-01", "~", "null"]


@pytest.mark.parametrize("word", TAGS)
@pytest.mark.parametrize("options", ["tags: [se, {}]", "tags: {{se: x, other: {}}}"])
def test_tags_that_yaml_has_turned(tmp_path: Path, options: str, word: str) -> None:
    """In a list and in a mapping, by place; what is quoted is taken as it stands."""
    place = "options.tags[1]" if "[" in options else "options.tags.other"
    told = problem(tmp_path, link("links.tag", options.format(word)))
    assert told.startswith(f"links.it: {place}: YAML reads ")
    assert "quote it" in told
    [loaded] = load(tmp_path, link("links.tag", options.format(f'"{word}"'))).links.values()
    assert any(tag.endswith(f":{word}") for tag in loaded.options.wanted)  # type: ignore[union-attr]


@pytest.mark.parametrize("options", ["tags: {on: x}", "tags: {1.10: x}", "tags: {2024-01-01: x}"])
def test_names_of_tags_that_yaml_has_turned(tmp_path: Path, options: str) -> None:
    """A name is reported like a value."""
    assert "a key must be a text; quote it" in problem(tmp_path, link("links.tag", options))


@pytest.mark.parametrize("key", ["0123", "0x10", "22:30", "1_000"])
def test_keys_that_yaml_has_made_other_numbers(tmp_path: Path, key: str) -> None:
    """Those that are what their digits say are taken as they stand, and so is what is quoted."""
    for module, option in (("links.tag", "tags"), ("links.tag_router", "tag_routes")):
        told = problem(tmp_path, link(module, f"{option}: {{{key}: x}}"))
        assert told.startswith(f"links.it: options.{option}.{key}: a key must be a text; quote it")
        load(tmp_path, link(module, f'{option}: {{"{key}": x, 2024: y}}'))


def test_values_behind_a_number_as_a_key(tmp_path: Path) -> None:
    """They are looked at like all others."""
    told = problem(tmp_path, link("links.tag", "tags: {2024: 1.10}"))
    assert told.startswith("links.it: options.tags[2024]: YAML reads another number")


@pytest.mark.parametrize(
    ("module", "options", "place"),
    [
        ("links.analyze", "api_key: k, prompt: p, analysis_type: no", "analysis_type"),
        ("links.analyze", "api_key: k, prompt: p, model: 4.10", "model"),
        (
            "links.check_and_tag",
            "api_key: k, tag_name: t, evaluation_question: q, tag_value: on",
            "tag_value",
        ),
        ("links.webhook", "webhook-urls: ['http://a'], headers: {x-id: 0123}", "headers.x-id"),
        ("links.expire_vcon", "seconds: 1:30", "seconds"),
        ("links.expire_vcon", "seconds: 010", "seconds"),
        ("links.deepgram_link", "DEEPGRAM_KEY: k, api: {replace: 22:30}", "api.replace"),
        ("links.deepgram_link", "DEEPGRAM_KEY: 0123, api: {}", "DEEPGRAM_KEY"),
        ("links.deepgram_link", "DEEPGRAM_KEY: k, api: {language: no}", "api.language"),
        (
            "links.analyze",
            "api_key: k, only_if: {section: attachments, type: tags, includes: no}",
            "only_if.includes",
        ),
        (
            "links.check_and_tag",
            "api_key: k, tag_name: t, evaluation_question: q, tag_value: v, "
            "only_if: {section: attachments, type: tags, includes: 1.10}",
            "only_if.includes",
        ),
    ],
)
def test_options_that_yaml_has_turned(
    tmp_path: Path, module: str, options: str, place: str
) -> None:
    """Of any built-in plugin; the value may be a secret and is not told."""
    told = problem(tmp_path, link(module, options))
    assert f"options.{place}: YAML reads " in told
    assert "0123" not in told


def test_options_that_mean_the_same_either_way(tmp_path: Path) -> None:
    """Switches, plain numbers, file modes, an option that is unset, and what goes on as JSON."""
    sound = "compression: yes, fsync: off, file_permissions: 0640, max_file_size: 1_000, path: ~"
    [loaded] = load(tmp_path, storage(sound)).storages.values()
    assert (loaded.options.compression, loaded.options.file_permissions) == (True, 0o640)  # type: ignore[union-attr]
    load(
        tmp_path,
        link("links.analyze", "api_key: k, prompt: p, temperature: 0.10, sampling_rate: 1.0"),
    )
    load(
        tmp_path,
        link("links.deepgram_link", "DEEPGRAM_KEY: k, api: {punctuate: yes, tier: 1.50, x: null}"),
    )
    load(tmp_path, link("links.tag", "tags: [2024, 1.5]"))


def test_options_that_a_chain_changes(tmp_path: Path) -> None:
    """Only what the chain itself says counts where it has taken an option's place."""
    text = (
        "links: {{it: {{module: links.tag, options: {{tags: [no]}}}}}}\n"
        "chains: {{main: {{links: [it: {{tags: [{}]}}], ingress_lists: [in]}}}}\n"
    )
    assert "options.tags[0]: YAML reads" in problem(tmp_path, text.format("off"))
    load(tmp_path, text.format("sound"))


def test_what_an_alias_or_a_merge_brings(tmp_path: Path) -> None:
    """The place is where the value is used."""
    text = (
        "x-shared: &shared {tags: [no]}\n"
        "links: {it: {module: links.tag, options: {<<: *shared}}}\n"
        "chains: {main: {links: [it], ingress_lists: [in]}}\n"
    )
    assert "links.it: options.tags[0]: YAML reads true or false" in problem(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chains: {main: {ingress_lists: [no]}}", "chains.main.ingress_lists[0]: "),
        ("chains: {main: {egress_lists: [0123]}}", "chains.main.egress_lists[0]: "),
        ("chains: {main: {links: [on]}}", "chains.main.links[0]: "),
        ("chains: {main: {storages: [22:30]}}", "chains.main.storages[0]: "),
        ("chains: {main: {timeout: 1:30}}", "chains.main.timeout: YAML reads 1:30 as 90; write 90"),
        ("links: {a: {module: links.tag, retries: 010}}", "links.a.retries: YAML reads 010 as 8"),
        ("links: {a: {module: no}}", "links.a.module: "),
        ("imports: {a: {module: json, pip_name: 1.10}}", "imports.a.pip_name: "),
        ("ingress_auth: {calls: 0123}", "ingress_auth.calls: "),
        ("ingress_auth: {calls: [2024-01-01]}", "ingress_auth.calls[0]: "),
        ("flows: {folder: off}", "flows.folder: "),
        ("connections: {a: {type: sqlite, expose: [no]}}", "connections.a.expose[0]: "),
    ],
)
def test_fields_that_yaml_has_turned(tmp_path: Path, text: str, told: str) -> None:
    """Names, keys and numbers of the file itself."""
    said = problem(tmp_path, text)
    assert said.startswith(told)
    assert "YAML reads" in said
