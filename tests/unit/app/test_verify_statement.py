"""`verify-statement`: whether a statement is genuine, and what it says."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from app.cli import carry_out
from app.command_line import read
from pipeline.config.law import LawKey
from pipeline.law.writing.statements import ERASURE_REQUEST, ERASURE_STATEMENT, signed
from tests.law_keys import certificate_pem, ec_key, private_pem, public_pem

ERASURE, VCON = "0193a5f0-0000-7000-8000-0000000000ff", "0193a5f0-0000-7000-8000-000000000001"
SAID: dict[str, Any] = {
    "form": "patchcord-erasure-1",
    "erasure": ERASURE,
    "state": "complete_with_exceptions",
    "ended_at": "2026-11-30T10:00:00+00:00",
    "vcons": [VCON],
    "count": {"told": 1, "verified": 2},
    "exceptions": [{"kind": "storage", "name": "crm", "state": "told", "vcon": VCON}],
    "meaning": {"told": "it has not answered"},
    "not_reached": {"backups": "until they are deleted"},
}
SHOWN = f"""\
erasure {ERASURE}: complete with exceptions, 2026-11-30T10:00:00+00:00
vCons: 1; destinations: 1 told, 2 verified
  exception: storage crm, vCon {VCON}: it has not answered
  not reached: backups: until they are deleted
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a statement, the key that signed it, and another one; there is no configuration."""
    monkeypatch.setenv("ENV_FILE", "")
    key = LawKey("k", private_pem(ec_key()), certificate_pem(ec_key(), "Harbour"))
    (tmp_path / "statement").write_text(signed(SAID, ERASURE_STATEMENT, key) + "\n")
    (tmp_path / "request").write_text(signed(SAID, ERASURE_REQUEST, key))
    (tmp_path / "certificate.pem").write_text(key.chain)
    (tmp_path / "public.pem").write_text(public_pem(ec_key()))
    (tmp_path / "other.pem").write_text(public_pem(ec_key("other")))
    return tmp_path


async def verify(folder: Path, file: str, *anchors: str, as_json: bool = False) -> int:
    """The exit code of the command."""
    trusted = [word for each in anchors for word in ("--anchors", str(folder / each))]
    words = ["verify-statement", str(folder / file) if file != "-" else file, *trusted]
    return await carry_out(read([*words, "--json"] if as_json else words))


@pytest.mark.parametrize("anchor", ["certificate.pem", "public.pem"])
async def test_a_genuine_statement_is_shown(
    folder: Path, anchor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any setting of the service; other keys that are trusted do not matter."""
    assert await verify(folder, "statement", "other.pem", anchor) == 0
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert first.startswith("genuine: signed with ES256 by CN=Harbour, key ")
    assert rest == SHOWN


async def test_as_json_it_is_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With who signed it."""
    assert await verify(folder, "statement", "public.pem", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["genuine"], told["signer"]["algorithm"]) == (True, "ES256")
    assert told["statement"] == SAID


async def test_it_may_be_in_the_json_of_an_erasure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `erasure show --json` prints it."""
    shown = {"id": ERASURE, "statement": (folder / "statement").read_text()}
    (folder / "erasure.json").write_text(json.dumps(shown, indent=2))
    assert await verify(folder, "erasure.json", "public.pem") == 0
    for text in ('{"id": 1}', '{"statement": 7}', "{"):
        (folder / "erasure.json").write_text(text)
        assert await verify(folder, "erasure.json", "public.pem") == 1
    assert "genuine" in capsys.readouterr().out
    (folder / "erasure.json").write_text('{"statement": null, "state": "waiting"}')
    assert await verify(folder, "erasure.json", "public.pem") == 2
    assert "has no statement, it is 'waiting': it gets one" in capsys.readouterr().err


async def test_it_may_come_from_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `-`."""
    monkeypatch.setattr("sys.stdin", io.StringIO((folder / "statement").read_text()))
    assert await verify(folder, "-", "public.pem") == 0
    assert "genuine" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("file", "anchor", "why"),
    [
        ("changed", "public.pem", "statement was changed"),
        ("request", "public.pem", "vcon-erasure-request"),
        ("statement", "other.pem", "not one of the trusted"),
        ("public.pem", "public.pem", "expected a statement"),
        ("empty", "public.pem", "expected a statement"),
    ],
)
async def test_what_is_not_genuine_is_exit_1(
    folder: Path,
    file: str,
    anchor: str,
    why: str,
    as_json: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says why, and nothing of what the statement says."""
    header, payload, signature = (folder / "statement").read_text().split(".")
    other = signed(SAID | {"state": "complete"}, ERASURE_STATEMENT, _key())
    (folder / "changed").write_text(f"{header}.{other.split('.')[1]}.{signature}")
    (folder / "empty").write_text("")
    assert await verify(folder, file, anchor, as_json=as_json) == 1
    out = capsys.readouterr().out
    assert why in out
    assert VCON not in out
    assert payload
    if as_json:
        assert json.loads(out)["genuine"] is False


def _key() -> LawKey:
    return LawKey("k", private_pem(ec_key()), "")


async def test_what_it_says_cannot_forge_lines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trusted signer may say anything; members of another form are left out."""
    forged = {"state": "complete\x1b[31m\ngenuine: all", "vcons": 7, "count": [], "exceptions": [1]}
    (folder / "forged").write_text(signed(forged, ERASURE_STATEMENT, _key()))
    assert await verify(folder, "forged", "public.pem") == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 3
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("file", "anchors"),
    [("missing", ["public.pem"]), ("statement", ["missing"]), ("statement", [])],
)
async def test_without_a_file_or_an_anchor_it_is_exit_2(
    folder: Path, file: str, anchors: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was verified."""
    assert await verify(folder, file, *anchors) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (private_pem(ec_key()), "wrong.pem: it has a private key; give the signer's certificate"),
        ("", "expected certificates or a public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "expected certificates"),
    ],
)
async def test_what_is_no_anchor_is_exit_2(
    folder: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says nothing about the statement, also beside a file that is one."""
    (folder / "wrong.pem").write_text(text)
    assert await verify(folder, "statement", "public.pem", "wrong.pem") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert why in told.err
    assert "MII" not in told.err


async def test_without_settings_it_asks_for_anchors(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it names what is missing."""
    monkeypatch.delenv("POSTGRES_HOST", raising=False)
    assert await verify(folder, "statement") == 2
    assert "Cannot start:\n  give --anchors FILE" in capsys.readouterr().err


async def test_without_anchors_the_keys_of_the_configuration_are_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the service runs."""
    law = {"keys": {"k": {"private": private_pem(ec_key()), "chain": certificate_pem(ec_key())}}}
    (folder / "config.yml").write_text(json.dumps({"law": law}))
    monkeypatch.setenv("CONSERVER_CONFIG_FILE", str(folder / "config.yml"))
    monkeypatch.setenv("REDIS_URL", "redis://nowhere")
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DB_DEVELOPMENT", "DB_TEST", "DB_PRODUCTION"):
        monkeypatch.setenv(f"POSTGRES_{name}", "1")
    assert await verify(folder, "statement") == 0
    (folder / "config.yml").write_text("{}")
    assert await verify(folder, "statement") == 2
    assert "section `law`" in capsys.readouterr().err
