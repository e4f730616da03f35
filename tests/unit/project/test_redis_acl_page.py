"""`docs/redis-acl.md` says what a user of Redis for the service may do."""

from devstack.pages.redis_acl_page import PAGE, commands, page


def test_the_page_is_current() -> None:
    """The page is what `python -m devstack.pages.redis_acl_page` would write now."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_commands_of_scripts_and_source_are_found() -> None:
    """One of each kind: in scripts, by their helpers, in Python, of JSON, of the driver."""
    assert {"HGET", "SADD", "ZMSCORE", "JSON.MERGE", "CLIENT|SETINFO"} <= set(commands())
    assert not {"EVAL", "KEYS", "FLUSHALL", "CONFIG", "CONFIG|SET"} & set(commands())
