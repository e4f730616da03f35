"""`check --vcon-server`: what config.yml and its plugins mean here."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from app.vcon_server.api import Tokens, of_api
from app.vcon_server.checklist import lists_used, uses_of
from app.vcon_server.config_file import of_document, of_problems
from app.vcon_server.findings import Level, as_json, as_text
from app.vcon_server.plugins import DIFFERENCES, PluginUse, of_load, of_plugins
from tests.unit.support.source_files import ROOT


def told(text: str) -> dict[str, str]:
    """The levels of what is told of a file, by subject."""
    return {each.subject: each.level for each in of_document(yaml.safe_load(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chains: {a: {links: [x], ingress_lists: [in]}}", {}),
        ("chains: {a: {ingress_lists: [in], enabled: 0}}", {"chains.a": "warn"}),
        ("chains: {a: {ingress_lists: [in], enabled: no}}", {"chains.a": "warn"}),
        ("chains: {a: {ingress_lists: [in], enabled: 1}}", {}),
        ("chains: {a: {ingress_lists: [in], enabled: }}", {}),
        ("chains: {a: {ingress_lists: [in], timeout: 9}}", {"chains.a.timeout": "note"}),
        ("chains: {a: {ingress_lists: [in], tracers: [t]}}", {"chains.a.tracers": "note"}),
        ("chains: {a: {ingress_lists: [in], links: [{x: {}}]}}", {"chains.a.links": "note"}),
        ("chains: {a: {links: [x]}}", {"chains.a": "note"}),
        ("followers: {f: {url: 'http://x'}}", {"followers.f": "warn"}),
        ("ingress_auth: {lost: k}", {"ingress_auth.lost": "warn"}),
        ("ingress_auth: {in: k}\nchains: {a: {ingress_lists: [in]}}", {}),
        (
            "ingress_auth: {in: k}\nchains: {a: {ingress_lists: [in], enabled: 0}}",
            {"chains.a": "warn"},
        ),
        ("chains: [1]\nfollowers: x\ningress_auth: 7", {}),
        ("chains: {a: 7, b: {links: x, ingress_lists: in}}", {"chains.a": "note"}),
        ("{}", {}),
    ],
)
def test_what_a_file_means_here(text: str, expected: dict[str, Level]) -> None:
    """Accepted by both, with another meaning; a section that is no mapping breaks nothing."""
    assert told(text) == expected


@pytest.mark.parametrize(("any_list", "words"), [(False, "503"), (True, "vCons of its partners")])
def test_keys_of_a_list_that_no_chain_reads(any_list: bool, words: str) -> None:
    """What its partners get depends on API_ANY_LIST."""
    [finding] = of_document({"ingress_auth": {"lost": "k"}}, any_list=any_list)
    assert words in finding.differs
    assert ("API_ANY_LIST" in finding.remedy) is not any_list


def test_what_the_parser_refuses_or_ignores() -> None:
    """The former stops the move, with what to do; what is told elsewhere is not repeated."""
    problem = "ingress_auth.calls: a key must have at least 16 characters; ALLOW_WEAK_KEYS=true ..."
    notes = [
        "worker: not a known key, ignored",
        "followers: following other servers is not supported, ignored",
        "ingress_auth.x: no enabled chain reads this list",
    ]
    first, second = of_problems([problem], notes)
    assert first[:3] == ("configuration", "stop", "ingress_auth.calls")
    assert first.remedy.startswith("ALLOW_WEAK_KEYS=true")
    assert second[1:4] == ("note", "worker", "not a known key, ignored")


def use(**changes: Any) -> PluginUse:
    """A link of a chain, not here."""
    values: dict[str, Any] = {
        "section": "links",
        "name": "mine",
        "module": "my_link",
        "pip_name": None,
        "chains": ["main"],
        "has_options": True,
        "is_built_in": False,
        "is_importable": False,
    }
    return PluginUse(**values | changes)


@pytest.mark.parametrize(
    ("changes", "exact", "installs", "level", "words"),
    [
        ({"is_built_in": True, "module": "links.delay"}, True, True, "ok", "built in"),
        ({"is_built_in": True, "module": "links.webhook"}, True, True, "note", "other than 2xx"),
        ({"is_importable": True}, True, True, "ok", "is installed"),
        ({"pip_name": "my-link==1.0"}, True, True, "note", "at the start"),
        ({"pip_name": "my-link"}, False, True, "note", "production refuses it: write one version"),
        ({"pip_name": "my-link"}, True, True, "stop", "exact versions"),
        ({"pip_name": "git+https://t:key@x/y.git@main"}, True, True, "stop", "//***@x"),
        ({"pip_name": "my-link==1.0"}, False, False, "stop", "DYNAMIC_INSTALL"),
        ({"pip_name": "a --index-url=x"}, False, True, "stop", "only --pre"),
        ({"module": "links.taag"}, False, True, "stop", "no module links.taag"),
        ({}, False, True, "note", "my_link is installed at the start"),
        ({}, True, True, "stop", "my_link is refused in production"),
        ({"chains": []}, True, True, "note", "my_link is refused in production"),
        ({"chains": [], "section": "imports"}, True, True, "stop", "my_link is refused"),
    ],
)
def test_where_a_plugin_comes_from(
    changes: dict[str, Any], exact: bool, installs: bool, level: Level, words: str
) -> None:
    """Built in, installed, installed at the start, or missing; secrets of addresses are masked."""
    [finding] = of_plugins([use(**changes)], exact=exact, installs=installs)
    assert finding.level == level
    assert words in finding.differs
    assert "key@" not in "".join(finding)


def test_a_link_without_options() -> None:
    """It fails in vcon-server, and has its defaults here; storages have theirs there, too."""
    uses = [
        use(is_built_in=True, has_options=False),
        use(is_built_in=True, has_options=False, section="storages"),
    ]
    assert [each.subject for each in of_plugins(uses, exact=False, installs=True)] == [
        *("links.mine", "storages.mine"),
        "links.mine",
    ]


def test_what_the_loader_says() -> None:
    """Not of plugins that are not here, of which more is told already."""
    uses = [use(), use(name="other", is_built_in=True)]
    problems = ["links.mine: no module (wanted by chains.main)", "links.other: options.x: refused"]
    notes = ["links.other: options.colour: not a known option, ignored"]
    found = of_load(problems, notes, uses)
    assert [(each.level, each.subject) for each in found] == [
        ("stop", "links.other"),
        ("note", "links.other"),
    ]


def test_the_modules_are_those_that_there_are() -> None:
    """What is told to be built in has a file."""

    def is_here(module: str) -> bool:
        path = ROOT / module.replace(".", "/")
        return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()

    assert [each for each in DIFFERENCES if not is_here(each)] == []


NAMES = st.sampled_from(
    [
        *("links", "storages", "chains", "ingress_auth", "followers", "tracers", "imports"),
        *("module", "options", "ingress_lists", "enabled", "timeout", "key", "pip_name", "a\nb"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
@example({"chains": {"a": {"ingress_lists": {}}}})  # what no set can have
def test_no_document_breaks_the_check(document: dict[str, Any]) -> None:
    """A value of any type may stand in the place of a section, an entry, a list or a key."""
    uses = list(uses_of(document))
    found = [*of_document(document), *of_plugins(uses, exact=True, installs=True)]
    found += of_api({}, Tokens(["t"]), document, is_open=False)
    lists_used(document)
    assert as_json(found, lambda text: text)
    assert as_text(found, lambda text: text)
