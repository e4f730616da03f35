"""What `kubectl kustomize` makes of the files of deploy/kubernetes, as far as these use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

type Object = dict[str, Any]
KNOWN = {
    "apiVersion",
    "kind",
    "resources",
    "components",
    "patches",
    "labels",
    "namespace",
    "images",
    "configMapGenerator",
    "generatorOptions",
}
"""What is understood here; anything else would be ignored, so it is refused."""


def built(folder: Path) -> list[Object]:
    """All objects of a folder with a kustomization."""
    return list(_applied(folder, []))


def _applied(folder: Path, objects: list[Object]) -> list[Object]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= KNOWN, set(kustomization) - KNOWN
    for name in kustomization.get("resources", []):
        path = folder / name
        objects += built(path) if path.is_dir() else documents(path)
    for generated in kustomization.get("configMapGenerator", []):
        objects.append(_config_map(folder, generated))
    for name in kustomization.get("components", []):
        objects = _applied(folder / name, objects)
    for patch in kustomization.get("patches", []):
        _patch(folder, patch, objects)
    for image in kustomization.get("images", []):
        _rename(image, objects)
    for each in objects if "namespace" in kustomization else []:
        each["metadata"]["namespace"] = kustomization["namespace"]
    return objects


def documents(path: Path) -> list[Object]:
    """The objects in one file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def _config_map(folder: Path, generated: Object) -> Object:
    data = {name: (folder / name).read_text() for name in generated["files"]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": generated["name"]},
        "data": data,
    }


def _patch(folder: Path, patch: Object, objects: list[Object]) -> None:
    if "path" in patch:
        (change,) = documents(folder / patch["path"])
        _merge(found(objects, change["kind"], change["metadata"]["name"]), change)
        return
    target = found(objects, patch["target"]["kind"], patch["target"]["name"])
    for step in yaml.safe_load(patch["patch"]):
        *above, last = step["path"].strip("/").split("/")
        place = target
        for name in above:
            place = place[name]
        if step["op"] == "remove":
            del place[last]
        else:
            assert step["op"] == "add"
            place[last] = step["value"]


def _merge(into: Object, change: Object) -> None:
    for name, value in change.items():
        if isinstance(value, dict):
            _merge(into.setdefault(name, {}), value)
        else:
            assert not isinstance(value, list), "lists are merged by rules of their own"
            into[name] = value


def _rename(image: Object, objects: list[Object]) -> None:
    renamed = f"{image['newName']}:{image['newTag']}"
    containers = [each for each in _containers(objects) if each["image"] == image["name"]]
    assert containers, f"no container has the image {image['name']}"
    for each in containers:
        each["image"] = renamed


def _containers(objects: list[Object]) -> Iterator[Object]:
    for pod in pods(objects):
        yield from pod["spec"]["containers"]


def pods(objects: list[Object]) -> Iterator[Object]:
    """The templates of pods."""
    for each in objects:
        if template := each.get("spec", {}).get("template"):
            yield template


def found(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (one,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return one
