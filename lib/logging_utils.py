import logging


def init_logger(name: str) -> logging.Logger:
    """The logger of that name; the service formats and writes its lines."""
    return logging.getLogger(name)
