"""What `pip_name` may say, and when something is installed at all."""

import pytest

from core.errors import PluginFailedError
from pipeline.config.parser import PluginSpec
from pipeline.plugins.importer import to_install
from pipeline.plugins.requirement import difference, git_variables, inexact, read

REPOSITORY = "git+https://github.com/username/repo.git"


@pytest.mark.parametrize(
    ("pip_name", "name", "specifier", "pre", "revision"),
    [
        ("custom-utils-package", "custom-utils-package", "", False, None),
        ("my-package==1.2.3", "my-package", "==1.2.3", False, None),
        ("flexible-package>=1.0.0,<2.0.0", "flexible-package", "<2.0.0,>=1.0.0", False, None),
        ("flexible-package >= 1.0.0", "flexible-package", ">=1.0.0", False, None),
        ("beta-package --pre", "beta-package", "", True, None),
        ("--pre beta-package[extra]", "beta-package", "", True, None),
        (REPOSITORY, None, "", False, None),
        (f"{REPOSITORY}@v1.2.3", None, "", False, "v1.2.3"),
        (f"{REPOSITORY}@abc123def456#subdirectory=x", None, "", False, "abc123def456"),
        (f"link @ {REPOSITORY}@develop", "link", "", False, "develop"),
        (f"{REPOSITORY}@feature/x", None, "", False, "feature/x"),
        ("git+https://token:secret@github.com/u/r.git", None, "", False, None),
        ("git+https://token:secret@github.com/u/r.git@main", None, "", False, "main"),
        ("git+file:///srv/link.git@v1", None, "", False, "v1"),
        ("git+ssh://git@github.com/u/r.git@v1", None, "", False, "v1"),
        ("https://example.com/a-1.0-py3-none-any.whl", None, "", False, None),
    ],
)
def test_every_form_of_the_documents_is_read(
    pip_name: str, name: str | None, specifier: str, pre: bool, revision: str | None
) -> None:
    """Names, versions, ranges, pre-releases and repositories."""
    wanted = read(pip_name)
    assert (wanted.name, str(wanted.specifier)) == (name, specifier)
    assert (wanted.pre, wanted.revision) == (pre, revision)
    assert "--pre" not in wanted.text


@pytest.mark.parametrize(
    ("pip_name", "words"),
    [
        ("pkg --index-url https://example.com", "only --pre may stand there, not --index-url"),
        ("--target=/etc pkg", "only --pre may stand there, not --target"),
        ("-r requirements.txt", "not -r"),
        ("pkg; rm -rf /", "not -rf"),
        ("a b", "'a b' is neither a package nor a git"),
        ("--pre", "'' is neither"),
        ("ftp://t:secret@host/x", "'ftp://***@host/x' is neither"),
    ],
)
def test_anything_else_is_refused(pip_name: str, words: str) -> None:
    """The message says what is wrong, and no token."""
    with pytest.raises(PluginFailedError) as refused:
        read(pip_name)
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_token_is_not_shown() -> None:
    """A printed requirement shows no token."""
    assert "secret" not in repr(read("git+https://token:secret@github.com/u/r.git"))


@pytest.mark.parametrize(
    ("module", "pip_name", "missing", "installed"),
    [
        ("requests", None, "requests", "requests"),
        ("some.legacy.module", None, "some", "some.legacy.module"),
        ("my_module", "custom-name", "my_module", "custom-name"),
        ("my_module.sub", "custom-name", "my_module", "custom-name"),
        ("links.fancy", "fancy-link", "links.fancy", "fancy-link"),
        # mistyped names of built-in plugins
        ("links.tga", None, "links.tga", None),
        ("link.tag", None, "link", None),
        ("storages.file", None, "storages", None),
        ("tracer.jlinc", None, "tracer", None),
        ("taag", None, "taag", None),
        ("postgress", None, "postgress", None),
        ("links_tag", None, "links_tag", None),
        ("taag", "taag", "taag", "taag"),
        # something inside a package that is there, or that it imports
        ("my_module.sub", None, "my_module.sub", None),
        ("webhook", None, "webhook", None),
        ("webhook", "their-webhook", "webhook", "their-webhook"),
        ("my_module.sub", "custom-name", "my_module.sub", None),
        ("my_module", "custom-name", "boto3", None),
        ("my_module", None, "boto3", None),
        ("links.fancy", "fancy-link", "links.fancy.deeper", None),
        ("my_module", "custom-name", None, None),
    ],
)
def test_what_is_installed_for_a_missing_module(
    module: str, pip_name: str | None, missing: str | None, installed: str | None
) -> None:
    """Only what the configuration names, and only if it is that which is missing."""
    assert to_install(PluginSpec("x", module, pip_name), missing) == installed


def recorded(revision: str | None = "v1") -> dict[str, object]:
    """What pip records of a repository."""
    requested = {} if revision is None else {"requested_revision": revision}
    return {
        "url": "https://github.com/username/repo.git",
        "vcs_info": {"vcs": "git", "commit_id": "abc123def456789", **requested},
    }


WHEEL = "https://example.com/p-2.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("pip_name", "version", "origin", "told"),
    [
        ("p", "1.0", {}, None),
        ("P>=1,<2", "1.5", {}, None),
        ("p --pre", "2.0b1", {}, None),
        ("p==2.0", "1.5", {}, "==2.0 is asked for, 1.5 is installed"),
        ("q", "1.5", {}, "q is asked for, p is installed and has the module"),
        (f"{REPOSITORY}@v1", "1.0", recorded(), None),
        (f"git+https://token:secret@{REPOSITORY[12:]}@v1#egg=p", "1.0", recorded(), None),
        (f"{REPOSITORY}@abc123d", "1.0", recorded(), None),
        (REPOSITORY, "1.0", recorded(None), None),
        (REPOSITORY, "1.0", recorded(), "revision its main branch is asked for, v1 is installed"),
        (f"{REPOSITORY}@v2", "1.0", recorded(), "revision v2 is asked for, v1 is installed"),
        (
            f"{REPOSITORY}@v2",
            "1.0",
            recorded(None),
            "revision v2 is asked for, abc123def456 is installed",
        ),
        (REPOSITORY, "1.0", {}, f"{REPOSITORY} is asked for, 1.0 from an index is installed"),
        (
            "git+https://github.com/other/repo.git@v1",
            "1.0",
            recorded(),
            "git+https://github.com/other/repo.git@v1 is asked for,"
            " https://github.com/username/repo.git is installed",
        ),
        (WHEEL, "2.0", {"url": WHEEL, "archive_info": {}}, None),
        (
            WHEEL,
            "1.0",
            {"url": WHEEL.replace("2.0", "1.0"), "archive_info": {}},
            f"{WHEEL} is asked for, {WHEEL.replace('2.0', '1.0')} is installed",
        ),
    ],
)
def test_another_version_than_required_is_noticed(
    pip_name: str, version: str, origin: dict[str, object], told: str | None
) -> None:
    """By name, by number, by address, or by the tag, branch or commit."""
    assert difference(read(pip_name), "p", version, origin) == told


@pytest.mark.parametrize(
    ("pip_name", "told"),
    [
        ("git+https://token:pw@h.example/x.git@v1", "git+https://h.example/x.git@v1"),
        ("x @ git+http://token@h.example/x.git", "x @ git+http://h.example/x.git"),
        ("git+ssh://git@h.example/x.git@v1", "git+ssh://git@h.example/x.git@v1"),
        ("x>=1,<2", "x>=1,<2"),
    ],
)
def test_a_command_line_has_no_credentials(pip_name: str, told: str) -> None:
    """Only the user of an SSH address stays: it is no secret, and git needs it there."""
    assert read(pip_name).without_credentials == told


def test_git_gets_the_credentials() -> None:
    """After the operator's own settings."""
    wanted = read("git+https://token:pa%24t@h.example/x/r.git@v1")
    assert git_variables(wanted, {"GIT_CONFIG_COUNT": "2"}) == {
        "GIT_CONFIG_COUNT": "3",
        "GIT_CONFIG_KEY_2": "url.https://token:pa%24t@h.example/.insteadOf",
        "GIT_CONFIG_VALUE_2": "https://h.example/",
    }
    assert git_variables(read("git+https://h.example/x.git"), {}) == {}


COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = "https://example.com/p-2.0-py3-none-any.whl"
SHA256 = f"sha256={'a' * 64}"


@pytest.mark.parametrize(
    "pip_name",
    [
        "p==1.2.3",
        "p[x] == 1.2.3",
        "p>=1,==1.2.3",
        "p===1.2.3",
        "p==2.0b1 --pre",
        f"{REPOSITORY}@{COMMIT}",
        f"git+https://token:secret@github.com/u/r.git@{COMMIT}#subdirectory=x",
        f"git+ssh://git@github.com/u/r.git@{COMMIT.upper()}",
        f"p @ {REPOSITORY}@{COMMIT}",
        f"{FILE}#{SHA256}",
        f"p @ {FILE}#egg=p&{SHA256}",
        f"{FILE}#sha512={'a' * 128}",
    ],
)
def test_what_names_one_version_only(pip_name: str) -> None:
    """A version, a whole commit, or a file with its digest."""
    assert inexact(read(pip_name)) is None


@pytest.mark.parametrize(
    ("pip_name", "advice"),
    [
        ("p", "name==1.2.3"),
        ("p --pre", "name==1.2.3"),
        ("p>=1.2.3", "name==1.2.3"),
        ("p~=1.2.3", "name==1.2.3"),
        ("p==1.2.*", "name==1.2.3"),
        ("p!=1.2.3", "name==1.2.3"),
        ("p<=1.2.3,>=1.2.3", "name==1.2.3"),
        (REPOSITORY, "40 hexadecimal digits"),
        (f"{REPOSITORY}@main", "40 hexadecimal digits"),
        (f"{REPOSITORY}@v1.2.3", "40 hexadecimal digits"),
        (f"{REPOSITORY}@{COMMIT[:12]}", "40 hexadecimal digits"),
        (f"{REPOSITORY}@{COMMIT}0", "40 hexadecimal digits"),
        (f"{REPOSITORY}@main#{COMMIT}", "40 hexadecimal digits"),
        (f"git+https://{COMMIT}@github.com/u/r.git", "40 hexadecimal digits"),
        (f"p @ {REPOSITORY}@refs/heads/{COMMIT}", "40 hexadecimal digits"),
        (FILE, "#sha256="),
        (f"p @ {FILE}", "#sha256="),
        (f"{FILE}#md5={'a' * 32}", "#sha256="),
        (f"{FILE}#sha256={'a' * 63}", "#sha256="),
        (f"{FILE}#md5={'a' * 32}&{SHA256}", "#sha256="),
        (f"{FILE}?{SHA256}", "#sha256="),
        (f"file:///srv/{COMMIT}", "#sha256="),
    ],
)
def test_what_may_be_another_thing_tomorrow(pip_name: str, advice: str) -> None:
    """Ranges, tags, branches, short commits, and files without a digest that holds."""
    assert advice in (inexact(read(pip_name)) or "")
