import logging


def init_logger(name: str) -> logging.Logger:
    """The logger of that name; its lines go where the service's own go, in the same form."""
    return logging.getLogger(name)
