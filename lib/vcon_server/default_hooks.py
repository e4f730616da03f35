"""The functions of vcon-server's modules `hook`, `after_link_hook` and `vcon_hook`.

They do nothing, as there. Which hooks the service calls: docs/configuration.md, "Hooks".
"""

from collections.abc import Mapping, Sequence
from typing import Any


def before_processing(vcon_id: str, chain_details: Mapping[str, Any], context: object) -> str:
    """Go on with the vCon."""
    return vcon_id


def after_processing(
    vcon_id: str, chain_details: Mapping[str, Any], context: object, error: object = None
) -> None:
    """Does nothing."""


def after_link(
    vcon_id: str,
    link_name: str,
    link_module: Any,
    link_opts: Mapping[str, Any] | None,
    link_hook_config: Mapping[str, Any] | None,
    status: str,
    error: BaseException | None,
    parties: Sequence[str] | None,
) -> None:
    """Does nothing."""


def on_vcon_created(
    vcon_id: str, vcon_dict: Mapping[str, Any], ingress_lists: Sequence[str] | None
) -> None:
    """Does nothing."""


def on_vcon_deleted(vcon_id: str) -> None:
    """Does nothing."""
