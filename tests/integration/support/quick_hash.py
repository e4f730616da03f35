"""A configuration of tests that are not about its hash."""

import hashlib
from functools import cached_property

from pipeline.config.parser import PipelineConfig


class QuicklyHashed(PipelineConfig):
    """A configuration whose hash is not slow to guess, and takes a thousandth of the time."""

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change whenever `content` does."""
        return hashlib.blake2b(self.content, digest_size=8).hexdigest()
