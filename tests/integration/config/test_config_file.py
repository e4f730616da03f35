"""Reading configuration files: what YAML gets wrong, and what files get wrong."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from pipeline.config.yaml_file import read

CHAIN = """
links:
  tag: {module: links.tag, options: {key: "${KEY}"}}
chains:
  main: {links: [tag], ingress_lists: [in]}
"""


def written(folder: Path, content: str | bytes) -> Path:
    """A file of that content."""
    path = folder / "config.yml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems_of(folder: Path, content: str | bytes) -> list[str]:
    """Every problem of a file of that content, the file's name left out."""
    path = written(folder, content)
    with pytest.raises(ConfigurationError) as refused:
        read(path, {})
    return [problem.replace(str(path), "FILE") for problem in refused.value.problems]


def test_a_file_is_read_and_filled(tmp_path: Path) -> None:
    """A sound file gives its configuration, with variables filled from what is passed in."""
    config = read(str(written(tmp_path, CHAIN)), {"KEY": "k3y"})
    assert config.chains["main"].links[0].plugin.options == {"key": "k3y"}


def test_problems_of_the_content_are_those_of_parse(tmp_path: Path) -> None:
    """What the file says wrong is reported with its path in the document."""
    assert problems_of(tmp_path, CHAIN) == ["links.tag.options.key: the environment has no KEY"]


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error that says which setting names it."""
    with pytest.raises(
        ConfigurationError, match=r"no configuration file at .*CONSERVER_CONFIG_FILE"
    ):
        read(tmp_path / "config.yml", {})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder in the file's place is an error with the system's reason."""
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Is a directory\)"):
        read(tmp_path, {})


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "null\n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    """A file without content is more likely half written than meant, so it is refused."""
    [problem] = problems_of(tmp_path, content)
    assert problem.startswith("FILE is empty; it needs a mapping with links, storages and chains")


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text\n"])
def test_a_file_that_is_no_mapping(tmp_path: Path, content: str) -> None:
    """A list or a text at the top is refused."""
    assert problems_of(tmp_path, content) == [
        "the configuration: must be a mapping (keys with values)"
    ]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("links:\n  a: [1, 2\nchains: {}\n", "3:7"),
        ("links:\n\ta: 1\n", "2:1"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: !!python/object:os.system x\n", "1:4"),
        ("a: *nowhere\n", "1:4"),
        ("? [a, b]\n: 1\n", "1:3"),
    ],
)
def test_syntax_errors_have_line_and_column(tmp_path: Path, content: str, place: str) -> None:
    """What is no YAML, or more than one document, is reported with its place."""
    [problem] = problems_of(tmp_path, content)
    assert problem.startswith(f"FILE:{place}: is not valid YAML: ")


@pytest.mark.parametrize(
    "value", ["'partner-key", "*partner-key", "!partner-key x", "%partner-key"]
)
def test_syntax_errors_do_not_quote_the_line(tmp_path: Path, value: str) -> None:
    """The line with the mistake may hold a key, so nothing of it is repeated."""
    [problem] = problems_of(tmp_path, f"ingress_auth:\n  calls: {value}\n")
    assert "partner-key" not in problem


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00", b"a: 2024-13-45"])
def test_bytes_that_are_no_text_and_values_that_are_none(tmp_path: Path, content: bytes) -> None:
    """Broken encodings and impossible dates are configuration errors too."""
    [problem] = problems_of(tmp_path, content)
    assert problem.startswith("FILE: is not valid YAML: ")


def test_repeated_keys(tmp_path: Path) -> None:
    """YAML lets the last of two equal keys win; here each repetition is an error with its line."""
    content = """\
links:
  tag: {module: links.tag}
  tag: {module: links.other}
chains:
  main:
    links: [tag]
    "links": []
links: {}
"""
    assert problems_of(tmp_path, content) == [
        "FILE:8:1: 'links' is given twice, first on line 1",
        "FILE:3:3: 'tag' is given twice, first on line 2",
        "FILE:7:5: 'links' is given twice, first on line 6",
    ]


def test_merged_keys_are_no_repetition(tmp_path: Path) -> None:
    """A mapping may override what `<<` merges into it, at any depth and before its anchor's own."""
    content = """
bases: {inner: {b: &b {<<: {module: links.x}, module: links.tag}}}
links:
  one: {<<: *b, options: {x: 1}}
  two: {<<: *b, module: links.other}
chains:
  main: {links: [one, two]}
"""
    config = read(written(tmp_path, content), {})
    assert [step.plugin.module for step in config.chains["main"].links] == [
        "links.tag",
        "links.other",
    ]


def test_shared_anchors_are_not_shared_values(tmp_path: Path) -> None:
    """Two links with one anchor's options have a copy each."""
    content = """
links:
  one: {module: m, options: &shared {x: []}}
  two: {module: m, options: *shared}
"""
    links = read(written(tmp_path, content), {}).links
    assert links["one"].plugin.options == links["two"].plugin.options
    assert links["one"].plugin.options["x"] is not links["two"].plugin.options["x"]


def test_an_alias_inside_its_anchor(tmp_path: Path) -> None:
    """A document that contains itself is refused."""
    [problem] = problems_of(tmp_path, "links: &again\n  a: *again\n")
    assert problem.startswith("the configuration contains itself")


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    """A file saved with a byte order mark reads as any other."""
    assert "main" in read(written(tmp_path, b"\xef\xbb\xbf" + CHAIN.encode()), {"KEY": ""}).chains


def test_aliases_that_expand_to_very_many_values(tmp_path: Path) -> None:
    """A few lines can stand for billions of values; the file is refused before they are made."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    [problem] = problems_of(tmp_path, "\n".join(lines))
    assert problem == "FILE: has more than 1000000 values, its aliases (*name) written out"


def test_aliases_that_are_used_as_meant(tmp_path: Path) -> None:
    """A value that stands in several places counts in each of them, and is allowed."""
    shared = "x: &o {tags: [a]}\nlinks:\n  a: {module: links.tag, options: *o}\n"
    config = read(written(tmp_path, shared + "  b: {module: links.tag, options: *o}\n"), {})
    assert config.links["a"].plugin.options == config.links["b"].plugin.options


@pytest.mark.parametrize("content", ["[" * 1200, "a: " + "{b: " * 1200])
def test_a_file_that_is_nested_too_deeply(tmp_path: Path, content: str) -> None:
    """The parser's own limit is an error as any other."""
    assert problems_of(tmp_path, content) == ["FILE: is nested too deeply"]
