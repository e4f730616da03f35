"""vcon-server's `lib.tracing`, for plugins that call it when they are imported."""


def init_tracing() -> None:
    """Does nothing: calls of language models are spans of the service, if OTEL_... is set."""
