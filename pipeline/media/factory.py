"""The media of a process, as its settings say."""

from core.settings import Settings
from pipeline.media.file_store import FileStore
from pipeline.media.media import Media
from pipeline.media.rules import Rule
from pipeline.media.s3_store import Bucket, S3Store
from pipeline.media.stores import MediaStore
from pipeline.redis_client.client import RedisConnection


def build_media(settings: Settings, connection: RedisConnection) -> Media:
    """Media of this connection; connects to nothing.

    A store that is set up is read from, also if MEDIA_STORE names another one, or none.
    """
    stores: dict[str, MediaStore] = {}
    if settings.media_folder is not None:
        stores["file"] = FileStore(settings.media_folder)
    if settings.media_s3_bucket:
        stores["s3"] = S3Store(Bucket.of(settings))
    kind = settings.media_store
    rule = Rule(kind, settings.media_min_bytes) if kind else None
    return Media(connection, rule, stores)
