"""Messages about a missing module: which one, and what the operator can do."""

import difflib
import importlib.util
import pkgutil
import re

from pipeline.config.parser import PluginSpec

ROOMS = ("links", "storage", "tracers")
"""The packages of the built-in plugins."""

_ROOM_BEFORE = re.compile(rf"^({'|'.join(ROOMS)})[_-]")

EXTRAS = {
    "asyncmy": "mysql",
    "asyncssh": "sftp",
    "boto3": "s3",
    "botocore": "s3",
    "cbor2": "scitt",
    "deepgram": "deepgram",
    "elastic_transport": "elasticsearch",
    "elasticsearch": "elasticsearch",
    "faster_whisper": "whisper",
    "groq": "groq",
    "imageio_ffmpeg": "audio",
    "jq": "jq",
    "openai": "openai",
    "pymilvus": "milvus",
    "pymongo": "mongo",
}
"""The libraries that only some built-in plugins need, by import name, with the extra to install."""
_INSTALL = "pip install --no-deps --require-hashes -r requirements/extras/{}.txt"


def explain_missing(spec: PluginSpec, error: ModuleNotFoundError) -> str:
    """A message about the plugin's own module, or about one that it imports."""
    if error.name and f"{spec.module}.".startswith(f"{error.name}."):
        return f"no module named {spec.module!r}; {_advice(spec, error.name)}"
    package = f" (its package: {shown(spec.pip_name)})" if spec.pip_name else ""
    what = repr(error.name) if error.name else f"something missing ({error})"
    text = f"{spec.module} is there, but it imports {what}, which is not installed{package}"
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    return f"{text}; install the extra {extra!r}: {_INSTALL.format(extra)}" if extra else text


def shown(pip_name: str) -> str:
    """A pip name without the credentials that its URL may contain."""
    return re.sub(r"//[^/@\s]+@", "//***@", pip_name)


def plugin_meant(name: str) -> str | None:
    """The built-in plugin that a wrong or incomplete name is close to: `links.tag` for `taag`."""
    places = {called: room for room in reversed(ROOMS) for called in _modules_in(room)}
    alone = _ROOM_BEFORE.sub("", name)
    near = difflib.get_close_matches(alone, places, n=1, cutoff=0.8)
    return f"{places[near[0]]}.{near[0]}" if near else None


def _modules_in(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    path = (spec and spec.submodule_search_locations) or []
    return [module.name for module in pkgutil.iter_modules(path)]


def _advice(spec: PluginSpec, missing: str) -> str:
    if spec.pip_name:
        return f"install it: pip install {shown(spec.pip_name)!r}"
    if plugin := plugin_meant(spec.module):
        return f"did you mean {plugin!r}? If not, name its package as pip_name"
    if near := difflib.get_close_matches(missing, _neighbours(missing), n=1):
        return f"did you mean {spec.module.replace(missing, near[0], 1)!r}?"
    return "check the spelling, or install the package that has it and name that as pip_name"


def _neighbours(missing: str) -> list[str]:
    """The modules of the package that lacks the missing one."""
    parent, _, _ = missing.rpartition(".")
    if not parent:
        return list(ROOMS)
    return [f"{parent}.{name}" for name in _modules_in(parent)]
