"""vcon-server's module `dlq_utils`: the names of the lists of dead letters."""

from pipeline.redis_client import keys


def get_ingress_list_dlq_name(ingress_list: str) -> str:
    """The list of dead letters of an ingress list."""
    return keys.dead_letters(ingress_list)


def get_storage_dlq_name(storage_name: str) -> str:
    """The list of dead letters of a storage."""
    return keys.storage_dead_letters(storage_name)
