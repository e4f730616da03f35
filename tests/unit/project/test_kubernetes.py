"""The manifests of deploy/kubernetes: valid for Kubernetes, and true of the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.command_line import read
from core.settings import ApiProcessSettings, ServiceSettings, Settings
from tests.unit.project.kustomized import Object, built, documents, found, pods

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
EXAMPLE = built(FOLDER / "overlays" / "example")
JOB = documents(FOLDER / "components" / "migration-job" / "job.yaml")
CUSTOM = {"ScaledObject", "PodMonitor"}
"""Kinds of KEDA and of the Prometheus operator, whose schemas are not Kubernetes' own."""
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
SETTINGS = {name.upper() for name in Settings.model_fields}
PODS = {"service": (ServiceSettings, "patchcord"), "api": (ApiProcessSettings, "patchcord-api")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def name_of(each: Object) -> str:
    """The kind and name, for the names of tests."""
    return f"{each['kind']}-{each['metadata']['name']}"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("manifest", [*EXAMPLE, *JOB], ids=name_of)
def test_every_manifest_fits_the_schemas(manifest: Object, version: str) -> None:
    """Of the oldest version that we support, and the newest; without unknown fields."""
    if manifest["kind"] not in CUSTOM:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_does_not_fit() -> None:
    """The validator looks into pods."""
    wrong = found(built(FOLDER / "base"), "Deployment", "patchcord")
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 40
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_is_used() -> None:
    """Each is named by a kustomization, and each kustomization by another, but for the examples."""
    named = set[Path]()
    for file in FOLDER.rglob("kustomization.yaml"):
        entries = yaml.safe_load(file.read_text())
        listed = [*entries.get("resources", []), *entries.get("components", [])]
        listed += [each["path"] for each in entries.get("patches", []) if "path" in each]
        listed += [f for one in entries.get("configMapGenerator", []) for f in one["files"]]
        paths = {(file.parent / each).resolve() for each in listed}
        assert all(path.exists() for path in paths)
        named |= {path / "kustomization.yaml" if path.is_dir() else path for path in paths}
    unnamed = {path for path in FOLDER.rglob("*") if path.is_file()} - named
    optional = [FOLDER / "components/migration-job", FOLDER / "overlays/example"]
    assert unnamed == {folder / "kustomization.yaml" for folder in optional}


def container(component: str) -> Object:
    """The one container of a component."""
    (pod,) = (p for p in pods(EXAMPLE) if component == component_of(p["metadata"]["labels"]))
    (only,) = pod["spec"]["containers"]
    return {**only, "pod": pod["spec"]}


def component_of(labels: dict[str, str]) -> str:
    """The component that labels name."""
    return labels["app.kubernetes.io/component"]


def environment(component: str) -> dict[str, Any]:
    """Every variable of a component; None for one from a secret."""
    one = container(component)
    shared = found(EXAMPLE, "ConfigMap", one["envFrom"][0]["configMapRef"]["name"])["data"]
    return {**shared, **{each["name"]: each.get("value") for each in one["env"]}}


@pytest.mark.parametrize("component", PODS)
def test_the_variables_are_settings_and_none_is_missing(component: str) -> None:
    """And every secret, and no other variable, comes from the Secret."""
    settings, _ = PODS[component]
    variables = environment(component)
    needed = {name.upper() for name, field in settings.model_fields.items() if field.is_required()}
    assert set(variables) <= SETTINGS
    assert needed <= set(variables)
    secrets = {name for name in variables if "Secret" in str(settings.model_fields[name.lower()])}
    assert secrets <= {name for name, value in variables.items() if value is None}
    references = [
        each["valueFrom"]["secretKeyRef"]
        for each in container(component)["env"][1:]
        if "valueFrom" in each
    ]
    assert {each["name"] for each in references} == {"patchcord-secrets"}


def test_the_settings_are_valid() -> None:
    """Each value is one that its setting takes."""
    given = {name.lower(): value for name, value in environment("service").items() if value}
    of_the_secret = {
        "websocket_url": "wss://plugboard.example.com/websocket",
        "token": "a-token",
        "postgres_password": "a-password",
        "redis_url": "redis://redis:6379/0",
    }
    Settings.model_validate(given | of_the_secret)


def test_the_api_gets_no_secret_of_the_plugboard() -> None:
    """Nor does the service get the token that opens the HTTP API."""
    assert not {"TOKEN", "WEBSOCKET_URL"} & set(environment("api"))
    assert "CONSERVER_API_TOKEN" in environment("api")
    assert "CONSERVER_API_TOKEN" not in environment("service")


@pytest.mark.parametrize("component", PODS)
def test_probes_and_ports_are_those_of_the_service(component: str) -> None:
    """`/live` for what restarts a container, `/ready` for what sends it requests."""
    one = container(component)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert str(ports["health"]) == environment(component)["HEALTH_PORT"]
    assert "http" not in ports or str(ports["http"]) == environment(component)["API_PORT"]
    probes = {name: one[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/live",
        "liveness": "/live",
        "readiness": "/ready",
    }
    assert {probe["port"] for probe in probes.values()} == {"health"}
    health = (ROOT / "app" / "health.py").read_text()
    assert all(f'"{probe["path"]}"' in health for probe in probes.values())


@pytest.mark.parametrize("component", PODS)
def test_a_pod_may_do_only_what_it_needs(component: str) -> None:
    """No privilege, a user that the image has, a root that is read-only, bounded folders."""
    one = container(component)
    pod, context = one["pod"], one["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    users = pod["securityContext"]
    assert users["runAsNonRoot"] is True
    assert users["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"--uid {users['runAsUser']}" in DOCKERFILE
    assert f"--gid {users['runAsGroup']}" in DOCKERFILE
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert {"memory", "ephemeral-storage"} <= one["resources"]["limits"].keys()
    assert all(v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if "emptyDir" in v)


@pytest.mark.parametrize("component", PODS)
def test_what_is_written_is_on_a_volume(component: str) -> None:
    """MODULES_DIR of the image, and /tmp; the configuration is a whole folder, so it is renewed."""
    one = container(component)
    mounts = {each["mountPath"]: each for each in one["volumeMounts"]}
    modules = re.findall(r"MODULES_DIR=(\S+)", DOCKERFILE)
    assert mounts.keys() == {*modules, "/tmp", "/app/config"}
    assert not any("subPath" in each for each in mounts.values())
    assert {each["name"] for each in mounts.values()} == {v["name"] for v in one["pod"]["volumes"]}
    folder, name = environment(component)["CONSERVER_CONFIG_FILE"].rsplit("/", 1)
    assert folder in mounts
    assert name in found(EXAMPLE, "ConfigMap", "patchcord-config")["data"]


@pytest.mark.parametrize("component", PODS)
def test_a_replica_gets_longer_to_stop_than_its_grace(component: str) -> None:
    """It is not killed while it still puts its work back."""
    seconds = container(component)["pod"]["terminationGracePeriodSeconds"]
    assert seconds > Settings.model_fields["shutdown_grace"].default + 5


@pytest.mark.parametrize(("component", "command"), [("service", "serve"), ("api", "api")])
def test_the_arguments_are_a_command_of_the_image(component: str, command: str) -> None:
    """`python entrypoint.py` with a command that it has, and nothing before it."""
    python, script, *rest = container(component)["args"]
    assert (python, (ROOT / script).is_file()) == ("python", True)
    assert read(rest).name == command
    assert "ENTRYPOINT" not in DOCKERFILE


def test_the_migration_is_that_of_the_image() -> None:
    """It runs Alembic, whose file is in the image."""
    (pod,) = pods(JOB)
    (one,) = pod["spec"]["containers"]
    assert one["args"] == ["python", "-m", "alembic", "upgrade", "head"]
    assert re.search(r"^COPY alembic.ini ", DOCKERFILE, re.MULTILINE)


def test_selectors_select_the_pods() -> None:
    """Of Deployments, Services, budgets and policies."""
    labels = [pod["metadata"]["labels"] for pod in pods(EXAMPLE)]
    for each in EXAMPLE:
        spec = each.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector)
        chosen = [one for one in labels if wanted.items() <= one.items()]
        assert chosen or not wanted, name_of(each)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ScaledObject", "patchcord"), ("HorizontalPodAutoscaler", "patchcord-api")],
)
def test_what_scales_names_a_deployment_without_replicas(kind: str, name: str) -> None:
    """Otherwise each `kubectl apply` would set their number back."""
    spec = found(EXAMPLE, kind, name)["spec"]
    target = found(EXAMPLE, "Deployment", spec["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"]
    word = "Count" if kind == "ScaledObject" else "s"
    least, most = spec[f"minReplica{word}"], spec[f"maxReplica{word}"]
    assert 1 < least < most


def test_the_query_for_scaling_reads_metrics_that_exist() -> None:
    """And their labels."""
    triggers = found(EXAMPLE, "ScaledObject", "patchcord")["spec"]["triggers"]
    queries = " ".join(each["metadata"]["query"] for each in triggers)
    page = (ROOT / "docs" / "metrics.md").read_text()
    names = set(re.findall(r"patchcord_\w+", queries))
    assert names == {
        "patchcord_ingress_age_seconds",
        "patchcord_ingress_depth",
        "patchcord_runs_total",
    }
    assert all(f"`{name.removesuffix('_total')}`" in page for name in names)
