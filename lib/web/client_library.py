"""`httpx`, imported without its command line, which would bring `rich` and `click` along."""

from core.optional_parts import without

with without("rich", "click"):
    import httpx

__all__ = ["httpx"]
