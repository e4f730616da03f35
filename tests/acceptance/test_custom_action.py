"""The custom action of the Vera-Py-Service document, copied into `actions/` letter by letter."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from signal import SIGTERM

import pytest

from devstack.plugboard import Variant
from devstack.servers.process import KeptProcess
from tests.integration.support.plugboard_scene import Scene, plugboard

pytestmark = pytest.mark.executed  # what an installation executes

ROOT = Path(__file__).parents[2]
DOCUMENTED = ROOT / "tests" / "data" / "my_custom_action.py"
NOT_THE_SERVICE = shutil.ignore_patterns(".*", "__pycache__", "tests", "devstack", "docs")
CEILING = 120.0  # seconds; reached only when something is broken


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's files with an added action."""
    copied = tmp_path_factory.mktemp("service") / "checkout"
    shutil.copytree(ROOT, copied, ignore=NOT_THE_SERVICE)
    shutil.copy(DOCUMENTED, copied / "actions")
    return copied


def test_it_passes_the_type_checker(checkout: Path) -> None:
    """`mypy --strict` finds nothing in the action as it is documented."""
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "actions/my_custom_action.py"],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=CEILING,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "Success: no issues found in 1 source file\n")


@pytest.fixture
def service(
    checkout: Path, scene: Scene, database_environment: dict[str, str]
) -> Iterator[KeptProcess]:
    """The service of that checkout, started for the scene."""
    process = KeptProcess(
        "service",
        [sys.executable, checkout / "entrypoint.py"],
        folder=checkout,
        stop_signal=SIGTERM,
        environment={
            "PATH": os.defpath,
            "WEBSOCKET_URL": scene.board.websocket_url,
            "TOKEN": scene.token.value,
            **database_environment,
        },
    )
    yield process
    process.stop()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A Plugboard that relays status, message and fields."""
    async with plugboard(variant=Variant.BUGFIXES) as scene:
        yield scene


async def test_it_answers_through_the_plugboard(scene: Scene, service: KeptProcess) -> None:
    """Dropped into the folder the action is published, validated and run."""
    [consumer] = await scene.board.wait_joined(scene.service, within=CEILING)
    assert "Processes input data with a multiplier" in consumer.socket.actions
    answer = await scene.post(action="MyCustomAction", fields={"input_data": "ab"})
    assert answer.status_code == 200
    assert answer.json() == {"message": "Processing completed", "fields": {"result": "abab"}}
    answer = await scene.post(action="MyCustomAction", fields={"multiplier": "x"})
    assert answer.status_code == 400
    assert answer.json()["message"] == (
        "Invalid fields for MyCustomAction: input_data: must be given; multiplier: Input should "
        "be a valid integer, unable to parse string as an integer"
    )
    await asyncio.to_thread(service.stop)
    assert service.exit_code == 0
