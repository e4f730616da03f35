"""The conformance kit itself: its command line, and plugins that would take it down."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from devstack.conformance import descendants, documents, host, subject
from devstack.conformance import kit as kits
from devstack.conformance.__main__ import main
from devstack.conformance.cases import Case
from devstack.conformance.rules import RULES
from tests.canaries import canary
from tests.integration.devstack.conformance.test_bad_plugins import BAD, verdicts
from tests.integration.support.http_stand_in import StandIn, stand_in

FINE = "from lib.vcon_redis import VconRedis\n\ndef run(vcon_uuid, link_name, opts):\n    "
SAVES = """
import http.client, pathlib, urllib.parse
from lib.vcon_redis import VconRedis

KEPT = pathlib.Path("kept")


def asked(opts):
    there = http.client.HTTPConnection(urllib.parse.urlsplit(opts["url"]).netloc, timeout=9)
    try:
        there.request("POST", "/", body=b"{}", headers={"Connection": "close"})
        return there.getresponse()
    finally:
        there.close()


def save(vcon_uuid, opts):
    vcon = VconRedis().get_vcon_dict(vcon_uuid)
    if vcon is None or asked(opts).status != 200:
        raise LookupError(vcon_uuid)
    KEPT.mkdir(exist_ok=True)
    (KEPT / vcon_uuid).write_text(vcon.get("subject") or "")


def get(vcon_uuid, opts):
    if asked(opts).getheader("Content-Length") is None:
        raise ConnectionError("half a reply")
    return {"subject": (KEPT / vcon_uuid).read_text()}
"""
"""A storage whose `save` understands half a reply, and whose `get` does not."""
HANGS = """
async def run(vcon_uuid, link_name, opts):
    {begun}
    while True:
        pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the present one and is on the path, outside of this checkout."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tried(redis_url: str, *arguments: str) -> int:
    """The exit code of the command line."""
    return main([*arguments, "--redis-url", redis_url])


def test_a_class_in_a_package_beside_the_project(
    folder: Path, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is found by its name, and so is its kind; JSON has all that the table has."""
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("from mine.places import Places\n")
    (folder / "mine" / "places.py").write_text(
        "kept = {}\n"
        "class Places:\n"
        "    def save(self, vcon_uuid, opts):\n"
        "        kept[vcon_uuid] = vcon_uuid\n"
    )
    assert tried(redis_url, "mine", "--only", "vCon gone", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["conformant"]) == ("storage", False)
    contract, gone = told["rules"]
    assert (contract["rule"], contract["verdict"]) == ("contract", "pass")
    assert gone["where"] == "mine/places.py:3"


def test_the_table_names_the_line_to_change(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a badge says how many rules are kept."""
    monkeypatch.setattr(sys, "path", [str(BAD), *sys.path])
    given = ("bad_run_twice", "--only", "run twice")
    assert tried(redis_url, *given) == 1
    table = capsys.readouterr().out
    assert "bad_run_twice.py:6" in table
    assert "1 pass, 1 fail, 0 not applicable" in table
    assert tried(redis_url, *given, "--badge") == 1
    badge = json.loads(capsys.readouterr().out)
    assert (badge["message"], badge["color"]) == ("1 of 2 rules", "red")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("links.tag", "--only", "run thrice"), "no rule run thrice; there are: contract"),
        (
            ("nowhere",),
            ": no module named 'nowhere'; is its folder the present one or in PYTHONPATH?",
        ),
        (("links.nowhere",), ": no module named 'links.nowhere'; is its folder the present"),
        (("wrong_syntax",), "wrong_syntax.py:2"),
        (("wrong_syntax", "--kind", "link"), "wrong_syntax is no Python: "),
        (("raises",), ": raises cannot be imported: ValueError: no, at "),
        (("links.tag", "--options", "missing.yml"), "missing.yml cannot be read"),
        (("links.tag", "--options", "list.yml"), "list.yml has no mapping of options, but list"),
    ],
)
def test_what_cannot_be_tried(
    arguments: tuple[str, ...],
    text: str,
    folder: Path,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit code is 2, and the error one line."""
    (folder / "list.yml").write_text("- a\n")
    (folder / "wrong_syntax.py").write_text("\ndef run(:\n")
    (folder / "raises.py").write_text("raise ValueError('no')\n")
    assert tried(redis_url, *arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert text in line


@pytest.mark.parametrize(
    ("text", "seen", "line"),
    [
        ("import sys\nsys.exit(3)\n", "SystemExit: 3", "ends.py:2"),
        ("import os\nos._exit(3)\n", "its process ended, exit code 3", ""),
        ("raise RuntimeError('no')\n", "no", "ends.py:1"),
        ("\ndef run(a, b): ...\n", "is defined as run(a, b)", "ends.py:2"),
        ("run = 3\n", "run is not a function", "ends.py:1"),
    ],
)
def test_a_module_that_ends_its_process(
    text: str, seen: str, line: str, folder: Path, redis_url: str
) -> None:
    """It breaks the contract, and the other rules are not tried."""
    (folder / "ends.py").write_text(text)
    found = verdicts(Case("ends", "link"), redis_url, "run twice")
    assert found["contract"].verdict.outcome == "fail"
    assert seen in found["contract"].verdict.seen
    assert line in found["contract"].verdict.where
    assert found["run twice"].verdict.seen == "a chain cannot load it"


@pytest.fixture
def begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A statement of a plugin that hangs after it: only then the second for its answer begins."""
    answer: Any = subject.Subject.answer

    def answer_from_then(self: Any, within: float) -> Any:
        ends = time.monotonic() + 60
        while not (folder / "begun").exists() and not self.answered() and time.monotonic() < ends:
            time.sleep(0.01)
        return answer(self, min(within, 1.0))

    monkeypatch.setattr(subject.Subject, "answer", answer_from_then)
    return f"import pathlib; pathlib.Path({str(folder / 'begun')!r}).touch()"


def test_a_plugin_that_hangs_does_not_hang_the_kit(
    folder: Path, redis_url: str, begun: str
) -> None:
    """Its process is killed; the verdict names the line where it was."""
    (folder / "hangs.py").write_text(HANGS.format(begun=begun))
    found = verdicts(Case("hangs", "link"), redis_url, "vCon gone", "run twice")
    assert found["vCon gone"].verdict.seen == "no answer within 1 s"
    assert found["vCon gone"].verdict.where.startswith("hangs.py:")
    assert found["run twice"].verdict.outcome == "fail"


def test_an_import_that_hangs(
    folder: Path, redis_url: str, begun: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is named at which it does."""
    (folder / "stuck.py").write_text(f"import threading\n{begun}\nthreading.Event().wait()\n")
    assert tried(redis_url, "stuck") == 2
    assert "no answer within 1 s, at " in (told := capsys.readouterr().err)
    assert told.endswith("stuck.py:3\n")


def test_rules_that_ran_out_of_time_are_not_tried(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No full pass, in the table, the badge and the exit code."""
    monkeypatch.setattr(kits, "MOST_SECONDS", 0.0)
    given = ("links.tag", "--only", "run twice")
    assert tried(redis_url, *given) == 3
    assert "0 not applicable, 2 not tried" in capsys.readouterr().out
    assert tried(redis_url, *given, "--badge") == 3
    badge = json.loads(capsys.readouterr().out)
    assert (badge["message"], badge["color"]) == ("0 of 0 rules, 2 not tried", "yellow")
    assert tried(redis_url, *given, "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["conformant"], told["counts"]["not tried"]) == (False, 2)


def test_a_rule_that_outlasts_the_check(
    folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is killed when the time of the whole check ends; no verdict is given."""
    (folder / "hangs.py").write_text(HANGS.format(begun="pass"))
    run: Any = subject.Subject.run

    def run_last(self: Any, document: dict[str, Any], **how: Any) -> Any:
        self._until = time.monotonic() + 0.1
        return run(self, document, **how)

    monkeypatch.setattr(subject.Subject, "run", run_last)
    found = verdicts(Case("hangs", "link"), redis_url, "vCon gone")["vCon gone"].verdict
    assert (found.outcome, found.seen[:24]) == ("not tried", "the time ended meanwhile")


@pytest.mark.parametrize("seconds", ["0", "3601", "nan", "a"])
def test_how_long_a_check_may_take(
    seconds: str, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between a second and an hour."""
    with pytest.raises(SystemExit):
        tried(redis_url, "links.tag", "--seconds", seconds)
    assert "--seconds" in capsys.readouterr().err


@pytest.mark.parametrize("body", ["yield vcon_uuid", "return {'uuid': vcon_uuid}"])
def test_a_result_that_a_worker_refuses(folder: Path, redis_url: str, body: str) -> None:
    """The kit judges it as a worker does."""
    (folder / "odd.py").write_text(f"def run(vcon_uuid, link_name, opts):\n    {body}\n")
    found = verdicts(Case("odd", "link"), redis_url, "run twice")
    assert "fail" in {each.verdict.outcome for each in found.values()}


def test_half_a_reply_to_a_storage_that_has_saved(folder: Path, redis_url: str) -> None:
    """What it has is looked at when its peer is well again, not by a `get` of half a reply."""
    (folder / "saves.py").write_text(SAVES)
    with stand_in(StandIn()) as peer:
        case = Case("saves", "storage", {"url": f"{peer.base}/"})
        found = verdicts(case, redis_url, "failing peer")["failing peer"].verdict
    assert found.outcome == "pass", found


FORKS = """
import os, subprocess, time

def run(vcon_uuid, link_name, opts):
    if os.fork() == 0:
        time.sleep(600)
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    return vcon_uuid
"""
"""A link that leaves a process, and one in a session of its own."""


def test_processes_that_a_plugin_leaves(
    folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They break two rules; the line is named that started them, and none outlives the check."""
    monkeypatch.setattr(kits, "RUNS", 260)
    (folder / "forks.py").write_text(FORKS)
    running: set[descendants.Process] = set()
    kill = descendants.kill
    monkeypatch.setattr(descendants, "kill", lambda pids: [running.update(pids), kill(pids)])
    found = verdicts(Case("forks", "link"), redis_url, "closes", "threads")
    closes, threads = found["closes"].verdict, found["threads"].verdict
    assert closes.seen.count("sleep (") == 3
    assert (closes.outcome, closes.where) == ("fail", "forks.py:7")
    assert (threads.outcome, threads.where) == ("fail", "forks.py:7")
    assert len(running) > 100
    assert not [each for each in running if runs(each.pid)]


def test_a_helper_that_ends_with_its_worker(redis_url: str) -> None:
    """It is not left, though it runs until then: `links.jq_link` has such a process."""
    case = Case("links.jq_link", "link", {"filter": "."})
    closes = verdicts(case, redis_url, "closes")["closes"].verdict
    assert closes.outcome == "pass", closes


def runs(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("import os; os.chdir('/'); os.umask(0)", "the folder, umask"),
        ("import locale; locale.setlocale(locale.LC_ALL, 'C')", "locale"),
    ],
)
def test_changes_of_the_process(folder: Path, redis_url: str, body: str, changed: str) -> None:
    """They concern all other plugins of a worker."""
    (folder / "alters.py").write_text(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"def run(vcon_uuid, link_name, opts):\n    {body}\n"
    )
    closes = verdicts(Case("alters", "link"), redis_url, "closes")["closes"].verdict
    assert closes.outcome == "fail"
    for each in (*changed.split(", "), "the handler of SIGTERM"):
        assert each in closes.seen


def test_what_a_plugin_prints_does_not_fill_the_disk(folder: Path, redis_url: str) -> None:
    """The beginning of it is kept, and looked at for secrets."""
    (folder / "loud.py").write_text(
        f"def run(vcon_uuid, link_name, opts):\n    print('x' * {host.MOST_PRINTED + 1})\n"
    )
    with subject.Subject(subject.context(), Case("loud", "link"), redis_url) as started:
        started.load()
        for _ in range(2):
            assert not started.run(documents.rich()).error
            assert len(started.ask("output")) == host.MOST_PRINTED


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("import os; os.closerange(3, 200)", "it closes files that are not its own"),
        ("import os; os._exit(3)", "its process ended, exit code 3"),
        ("import sys; sys.exit(3)", "the first run: PluginError: SystemExit: called sys.exit(3)"),
        ("raise ValueError('x' * 50_000_000)", "the first run: ValueError: xxxx"),
    ],
)
def test_calls_that_end_or_break_their_process(
    folder: Path, redis_url: str, body: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict says how, and names the function."""
    monkeypatch.setattr(subject, "GRACE", 0.5)
    (folder / "breaks.py").write_text(f"def run(vcon_uuid, link_name, opts):\n    {body}\n")
    found = verdicts(Case("breaks", "link"), redis_url, "run twice")["run twice"].verdict
    assert found.outcome == "fail"
    assert seen in found.seen
    assert found.where.startswith("breaks.py:")


def test_nothing_gets_out_of_the_machine(folder: Path, redis_url: str) -> None:
    """A host that the options do not name is refused, by name or by address."""
    (folder / "calls.py").write_text(
        "import socket\ndef run(vcon_uuid, link_name, opts):\n"
        "    socket.create_connection(('192.0.2.1', 80), timeout=9)\n"
    )
    found = verdicts(Case("calls", "link"), redis_url, "run twice")
    assert "lets no connection out, to 192.0.2.1" in found["run twice"].verdict.seen


def test_a_secret_that_is_printed(folder: Path, redis_url: str) -> None:
    """Also a short text, which Python keeps in a buffer."""
    (folder / "prints.py").write_text(
        "import sys\n"
        "sys.stdout.reconfigure(line_buffering=False, write_through=False)\n"
        'default_options = {"api_key": ""}\n'
        "def run(vcon_uuid, link_name, opts):\n"
        '    print(opts["api_key"])\n'
        "    return vcon_uuid\n"
    )
    case = Case("prints", "link", {"api_key": canary("printed-key-4bd8")})
    found = verdicts(case, redis_url, "secrets")["secrets"].verdict
    assert (found.outcome, found.seen) == ("fail", "the value of api_key is in the output")


def test_the_link_of_the_readme(folder: Path, redis_url: str) -> None:
    """It keeps the rules that one process is enough for."""
    readme = (Path(__file__).parents[4] / "README.md").read_text()
    [code] = re.findall(r"```python\n(from lib.vcon_redis.*?)```", readme, re.DOTALL)
    (folder / "of_the_readme.py").write_text(code)
    quick = [each.name for each in RULES if each.quick]
    found = verdicts(Case("of_the_readme", "link"), redis_url, *quick)
    assert {n: each.verdict for n, each in found.items() if each.verdict.outcome == "fail"} == {}


def test_there_are_twenty_rules() -> None:
    """Each with a name of its own; the page lists them."""
    page = (Path(__file__).parents[4] / "docs" / "conformance.md").read_text()
    assert len({each.name for each in RULES}) == 20
    for each in RULES:
        assert f"| {each.name} | {each.asks} |" in page
