"""`make up` as its command line has it."""

from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from devstack import up


def test_without_arguments() -> None:
    """The demo's chains, on the port that the documents name, with a line for all that happens."""
    told = up.arguments([])
    assert (told.port, told.health_port, told.admin, told.quiet) == (4000, 0, False, False)
    assert told.api_port == 8000
    assert told.config.is_file()


def test_with_all_arguments() -> None:
    """Each of them counts."""
    told = up.arguments(
        ["--port", "1", "--health-port", "2", "--config", "my.yml", "--admin", "--quiet"]
    )
    assert (told.port, told.health_port, told.admin, told.quiet) == (1, 2, True, True)
    assert told.config == Path("my.yml")


@pytest.mark.parametrize(
    "value", ["", "a b#c", "it's", 'say "x"', "\\n\\'", "two\nlines", "$HOME", "é"]
)
def test_values_are_read_as_they_were(value: str) -> None:
    """In the file of the operator's variables."""
    text = f"A={up._env_quoted(value)}\nB={up._env_quoted('b')}\n"
    assert dotenv_values(stream=StringIO(text)) == {"A": value, "B": "b"}


def test_variables_that_the_configuration_names_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment, or else from `.env`; and no other but LAW_ACTIONS."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENV_FILE", raising=False)
    config = tmp_path / "config.yml"
    config.write_text("law: {keys: {k: {private: '${LAW_KEY}', chain: '${env.LAW_CHAIN}'}}}")
    (tmp_path / ".env").write_text("LAW_KEY=file\nLAW_CHAIN='a\\nb'\nLAW_ACTIONS=true\nTOKEN=t\n")
    monkeypatch.setenv("LAW_KEY", "environment")
    for name in ("LAW_CHAIN", "LAW_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    found = up.passed_on(config)
    assert found == {"LAW_KEY": "environment", "LAW_CHAIN": "a\\nb", "LAW_ACTIONS": "true"}
    monkeypatch.setenv("ENV_FILE", "")
    assert up.passed_on(config) == {"LAW_KEY": "environment"}
    assert up.passed_on(tmp_path / "missing.yml") == {}


def test_a_wrong_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is."""
    with pytest.raises(SystemExit):
        up.arguments(["--prot", "1"])
    assert "--port" in capsys.readouterr().err
