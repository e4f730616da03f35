"""What can be held of the container files without building them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from core.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SETTINGS = {name.upper() for name in Settings.model_fields}
NOT_OURS = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def copied() -> list[str]:
    """Every path that the image takes from the checkout."""
    lines = re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
    return [path for line in lines for path in line.split()[:-1]]


@pytest.mark.parametrize("path", copied())
def test_every_path_in_the_image_exists(path: str) -> None:
    """The image copies only what is there."""
    assert (ROOT / path).exists()


def test_the_image_has_every_package_of_the_service() -> None:
    """Every package that the service imports is copied, and none that it must not."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - set(copied()) == {"devstack", "benchmarks"}


def test_every_variable_of_the_image_is_known() -> None:
    """ENV sets settings, or what Python itself knows."""
    names = set(re.findall(r"(?:^ENV|^ {4})\s*([A-Z_]+)=", DOCKERFILE, re.MULTILINE))
    assert "HEALTH_PORT" in names
    assert names <= SETTINGS | NOT_OURS


def test_the_health_check_asks_the_port_that_is_set() -> None:
    """HEALTH_PORT, EXPOSE and HEALTHCHECK agree."""
    ports = set(
        re.findall(r"HEALTH_PORT=(\d+)|^EXPOSE (\d+)|127\.0\.0\.1:(\d+)", DOCKERFILE, re.MULTILINE)
    )
    assert {port for found in ports for port in found if port} == {"8080"}


def test_every_variable_of_the_composition_is_known() -> None:
    """The service gets settings, and what its configuration file names."""
    environment = set(COMPOSE["services"]["conserver"]["environment"])
    in_configuration = set(re.findall(r"\$\{(\w+)\}", (ROOT / "samples/config.yml").read_text()))
    assert environment <= SETTINGS | in_configuration
    assert in_configuration <= environment | {"POSTGRES_PASSWORD"}


def test_the_composition_sets_everything_that_is_needed() -> None:
    """No setting without a default is left out."""
    needed = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert needed <= set(COMPOSE["services"]["conserver"]["environment"])


def test_mounted_files_exist() -> None:
    """What the composition mounts from the checkout is there."""
    mounts = [
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
    ]
    assert all((ROOT / path).exists() for path in mounts if path.startswith("."))


def test_replicas_get_longer_to_stop_than_their_grace() -> None:
    """The container is not killed while the service still puts its work back."""
    seconds = int(COMPOSE["services"]["conserver"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["shutdown_grace"].default + 5
    assert COMPOSE["services"]["conserver"]["deploy"]["replicas"] == 3


def test_the_command_is_the_entrypoint() -> None:
    """The image runs what `make demo` runs."""
    assert 'CMD ["python", "entrypoint.py"]' in DOCKERFILE
    assert (ROOT / "entrypoint.py").is_file()
