"""The settings that bound the work of built-in plugins."""

from pydantic import BaseModel, Field

MIB = 1024 * 1024


class PluginSettings(BaseModel, defer_build=True):
    """Limits on the work of built-in plugins for one vCon."""

    index_terms: int = Field(
        200, ge=1, le=1000, description="Search terms of one vCon that are indexed, at most."
    )
    index_term_length: int = Field(
        200, ge=1, description="Characters of a value that is indexed; longer ones are not."
    )
    fetch_requests: int = Field(
        1000, ge=1, description="URLs that one link may ask for one vCon, redirects included."
    )
    fetch_bytes: int = Field(
        1024 * MIB, ge=1, description="Bytes that one link may fetch for one vCon."
    )
    fetch_seconds: float = Field(
        240.0, gt=0, description="Seconds that one link may spend fetching for one vCon."
    )
    fetch_host_seconds: float = Field(
        120.0, gt=0, description="Seconds of these that one host may take."
    )
    ffmpeg_seconds: float = Field(
        300.0, gt=0, description="Seconds that one look of ffmpeg at a recording may take."
    )
    ffmpeg_memory: int = Field(
        1024 * MIB, ge=256 * MIB, description="Bytes of memory that ffmpeg may have."
    )
    jq_seconds: float = Field(
        10.0, gt=0, description="Seconds that the filter of links.jq_link may take for one vCon."
    )
    jq_memory: int = Field(512 * MIB, ge=128 * MIB, description="Bytes of memory that it may have.")
