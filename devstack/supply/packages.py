"""Locates an installed package without importing it."""

from importlib.util import find_spec
from pathlib import Path

from devstack.errors import StackError


def package_folder(name: str) -> Path:
    """Returns the folder of an installed top-level package; its code does not run.

    Raises:
        StackError: if the package is not installed.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(
            f"the Python package {name} is missing: start with `make demo`, `make up` or"
            " `make test`, which install the embedded stack"
        )
    return Path(spec.origin).parent
