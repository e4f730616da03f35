"""What can be held of the container files without building them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from core.settings import ApiProcessSettings, ServiceSettings, Settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: SERVICES[name] for name in ("conserver", "api")}
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
    environment = set(OURS["conserver"]["environment"]) | set(OURS["api"]["environment"])
    in_configuration = set(re.findall(r"\$\{(\w+)\}", (ROOT / "samples/config.yml").read_text()))
    assert environment <= SETTINGS | in_configuration
    assert in_configuration <= environment | {"POSTGRES_PASSWORD"}


@pytest.mark.parametrize(
    ("name", "settings"), [("conserver", ServiceSettings), ("api", ApiProcessSettings)]
)
def test_the_composition_sets_everything_that_is_needed(
    name: str, settings: type[Settings]
) -> None:
    """No setting without a default is left out, and a token opens the API."""
    needed = {name.upper() for name, field in settings.model_fields.items() if field.is_required()}
    assert needed <= set(OURS[name]["environment"])
    assert "CONSERVER_API_TOKEN" in OURS["api"]["environment"]


def test_the_api_gets_no_secret_of_the_plugboard() -> None:
    """It needs none; its port is the one that vcon-server has."""
    assert not {"TOKEN", "WEBSOCKET_URL"} & set(OURS["api"]["environment"])
    assert OURS["api"]["expose"] == [str(ApiProcessSettings.model_fields["api_port"].default)]


def test_mounted_files_exist() -> None:
    """What the composition mounts from the checkout is there."""
    mounts = [
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
    ]
    assert all((ROOT / path).exists() for path in mounts if path.startswith("."))


@pytest.mark.parametrize(("name", "replicas"), [("conserver", 3), ("api", 2)])
def test_replicas_get_longer_to_stop_than_their_grace(name: str, replicas: int) -> None:
    """The container is not killed while the service still puts its work back."""
    seconds = int(OURS[name]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["shutdown_grace"].default + 5
    assert OURS[name]["deploy"]["replicas"] == replicas


def test_the_command_is_the_entrypoint() -> None:
    """The image runs what `make demo` runs; the API is another command of it."""
    assert 'CMD ["python", "entrypoint.py"]' in DOCKERFILE
    assert OURS["api"]["command"] == ["python", "entrypoint.py", "api"]
    assert (ROOT / "entrypoint.py").is_file()


PASSWORD = re.compile(r"\$\{(\w*PASSWORD\w*|\w*TOKEN)(:\?)?")


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_may_do_only_what_it_needs(name: str) -> None:
    """It writes to volumes and memory, has no capability, and is bounded and started again."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["ulimits"] == {"core": 0}
    assert re.fullmatch(r"\d+g", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 512
    assert "/tmp" in [mount.partition(":")[0] for mount in service["tmpfs"]]
    assert not {"cap_add", "privileged", "network_mode", "pid"} & service.keys()
    ports = service.get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not ports or service["profiles"] == ["demo"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root(name: str) -> None:
    """The images of others are given a user; ours has one."""
    users = re.findall(r"^USER (\w+)", DOCKERFILE, re.MULTILINE)
    user = SERVICES[name].get("user", users[-1] if "build" in SERVICES[name] else "root")
    assert user in {"postgres", "redis", "patchcord"}


def test_what_the_service_writes_is_on_a_volume() -> None:
    """MODULES_DIR and DATA_FOLDER; temporary files are in memory."""
    service = OURS["conserver"]
    assert OURS["api"]["volumes"] == service["volumes"]
    mounted = {volume.split(":")[1] for volume in service["volumes"]}
    modules = re.search(r"MODULES_DIR=(\S+)", DOCKERFILE)
    assert modules
    assert {modules.group(1), service["environment"]["DATA_FOLDER"]} <= mounted


def test_every_password_is_required() -> None:
    """Compose refuses to start without one; there is no default."""
    found = PASSWORD.findall((ROOT / "docker-compose.yml").read_text())
    tokens = {"TOKEN", "CONSERVER_API_TOKEN"}
    found = [each for each in found if each[0] != "ACCOUNT_TOKEN"]  # of the demo's Plugboard
    assert {name for name, _ in found} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", *tokens}
    assert all(required for _, required in found)
    assert {name for name, _ in found} <= set(
        re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )


def test_redis_asks_for_the_password_that_the_service_has(tmp_path: Path) -> None:
    """The container's own command hands it over in a file that only the server may read."""
    redis = SERVICES["redis"]
    assert re.fullmatch(
        r"redis://:\$\{REDIS_PASSWORD:\?[^}]+\}@redis:6379/0",
        OURS["conserver"]["environment"]["REDIS_URL"],
    )
    assert OURS["api"]["environment"]["REDIS_URL"] == OURS["conserver"]["environment"]["REDIS_URL"]
    program = "\n".join(redis["command"]).replace("$$", "$")
    assert redis["entrypoint"] == ["sh", "-c"]
    (tmp_path / "docker-entrypoint.sh").write_text('#!/bin/sh\necho "$@"; cat "$2"\n')
    (tmp_path / "docker-entrypoint.sh").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", program.replace("/run/redis", str(tmp_path))],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "REDIS_PASSWORD": "0123456789abcdef"},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments, config = done.stdout.splitlines()
    assert arguments.startswith(f"redis-server {tmp_path}/redis.conf --appendonly yes")
    assert config == "requirepass 0123456789abcdef"
    assert "0123456789abcdef" not in arguments
    assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0


def test_no_secret_is_in_a_command_line() -> None:
    """Compose fills `${NAME}` in before the container sees it; the shell fills in `$$NAME`."""
    for service in SERVICES.values():
        lines = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        assert not [line for line in lines if PASSWORD.search(line.replace("$$", ""))]


def test_base_images_are_named_by_a_version_and_the_digest_is_documented() -> None:
    """docs/operations.md has the command that pins each image by its digest."""
    images = [*re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)]
    images += [service["image"] for service in SERVICES.values() if "image" in service]
    assert all(re.fullmatch(r"\w+:\d[\w.-]*(@sha256:[0-9a-f]{64})?", image) for image in images)
    page = (ROOT / "docs" / "operations.md").read_text()
    assert all(image.partition("@")[0] in page for image in images)
    assert "docker buildx imagetools inspect" in page
