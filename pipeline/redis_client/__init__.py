from core.optional_parts import without

with without("opentelemetry.sdk.metrics"):
    import redis  # noqa: F401 -- before the modules of this package import its parts
