"""Every name that plugins written for vcon-server import is there, under both of its paths."""

import importlib
import inspect
import sys
from collections.abc import Iterator

import pytest

from lib.vcon_server import aliases

NAMES = {
    "lib.ai_usage": ["send_ai_usage_data_for_tracking"],
    "lib.context_utils": [
        "extract_otel_trace_context",
        "get_context_key",
        "retrieve_context",
        "store_context_async",
        "store_context_sync",
    ],
    "lib.error_tracking": ["capture_exception", "init_error_tracker", "init_sentry"],
    "lib.links.filters": ["is_included", "randomly_execute_with_sampling"],
    "lib.logging_utils": ["init_logger"],
    "lib.metrics": [
        "add_updown_counter",
        "increment_counter",
        "init_metrics",
        "record_histogram",
        "register_observable_gauge",
        "stats_count",
        "stats_gauge",
    ],
    "lib.openai_client": [
        "get_async_openai_client",
        "get_openai_client",
        "get_vendor_from_opts",
    ],
    "lib.listen_list": ["listen_list"],
    "lib.phone_number_utils": ["get_e164_number"],
    "lib.process_utils": ["async_runner", "start_async_process", "start_process"],
    "lib.queue": ["VconQueue"],
    "lib.queue_metrics": ["register_ingress_list_length_gauge", "register_redis_memory_gauge"],
    "lib.tracing": ["init_tracing"],
    "lib.dialog_body": ["decode_inline_dialog_body"],
    "lib.vcon_compat": ["normalize_legacy_fields"],
    "lib.vcon_egress_compat": ["SUPPORTED_VERSIONS", "to_configured_legacy", "to_legacy"],
    "lib.vcon_redis": ["VconRedis"],
}
BY_HAND = [
    "delete_key",
    "get_async_client",
    "get_client",
    "get_key",
    "redis",
    "set_key",
    "show_keys",
]
CALLS = {
    ("lib.vcon_redis", "VconRedis"): [],
    ("lib.ai_usage", "send_ai_usage_data_for_tracking"): [
        "vcon_uuid",
        "input_units",
        "output_units",
        "unit_type",
        "type",
        "send_ai_usage_data_to_url",
        "ai_usage_api_token",
        "model",
    ],
    ("lib.openai_client", "get_openai_client"): ["opts"],
    ("lib.openai_client", "get_async_openai_client"): ["opts"],
    ("lib.metrics", "increment_counter"): ["metric_name"],
    ("lib.vcon_egress_compat", "to_legacy"): ["d", "version"],
    ("lib.context_utils", "store_context_sync"): ["redis", "ingress_list", "uuid", "ctx"],
}


@pytest.fixture(autouse=True)
def _aliases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The names work in each test and are gone after it."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    aliases.install()
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] in ("server", "redis_mgr")]:
        del sys.modules[name]


@pytest.mark.parametrize("module", NAMES)
def test_a_module_of_lib_has_what_plugins_import(module: str) -> None:
    """And is one module, whichever way it is imported."""
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []
    assert importlib.import_module(f"server.{module}") is found


def test_redis_by_hand() -> None:
    """It stands beside `lib`; importing it needs no connection."""
    found = importlib.import_module("redis_mgr")
    assert [name for name in BY_HAND if not hasattr(found, name)] == []
    for other in ("lib.redis_mgr", "server.redis_mgr", "server.lib.redis_mgr"):
        assert importlib.import_module(other) is found


@pytest.mark.parametrize(("module", "name"), CALLS)
def test_what_plugins_call_takes_as_many_arguments(module: str, name: str) -> None:
    """By position, with defaults for the rest."""
    function = getattr(importlib.import_module(module), name)
    inspect.signature(function).bind(*CALLS[module, name])
