"""Which commands may be sent again after a lost connection, when they may have been executed."""

from typing import Any

from redis.exceptions import MasterDownError, ReadOnlyError

REFUSED = (ReadOnlyError, MasterDownError)
"""Error replies of a server that is no longer the primary; it has not executed the command."""
_READS = (
    "PING ECHO TIME INFO DBSIZE LASTSAVE TYPE TTL PTTL EXPIRETIME EXISTS KEYS SCAN RANDOMKEY "
    "GET MGET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT "
    "HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD "
    "LRANGE LLEN LINDEX LPOS "
    "SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SSCAN SINTER SUNION SDIFF SINTERCARD "
    "ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT "
    "ZRANK ZREVRANK ZSCAN ZRANDMEMBER "
    "XLEN XRANGE XREVRANGE JSON.GET JSON.MGET JSON.TYPE JSON.ARRLEN JSON.STRLEN JSON.OBJLEN "
    "JSON.OBJKEYS JSON.ARRINDEX OBJECT COMMAND"
)
_WRITES = "MSET HMSET SETEX PSETEX JSON.MSET JSON.MERGE"
IDEMPOTENT = frozenset((*_READS.split(), *_WRITES.split()))
"""Commands that, executed twice, leave and reply the same as executed once.

Commands that reply how many elements were new or were removed are not among them: a caller may take
that for the answer to whether it was the one that did it.
"""
_READING_PARTS = {"CONFIG": ("GET",), "SLOWLOG": ("GET", "LEN"), "SCRIPT": ("LOAD", "EXISTS")}
_PLAIN_SET = {"EX", "PX", "EXAT", "PXAT", "KEEPTTL"}
_WORDS = {"EXPIRE": 3, "PEXPIRE": 3, "EXPIREAT": 3, "PEXPIREAT": 3, "JSON.SET": 4}
"""Commands that are idempotent without options: the number of their words then."""


def is_idempotent(words: tuple[Any, ...]) -> bool:
    """Whether a command may be repeated without knowing whether it was executed."""
    if not words or not isinstance(words[0], str):
        return False
    name = words[0].upper()
    if name in IDEMPOTENT:
        return True
    if name == "SET":  # not if it depends on what was there, or returns it
        options = (str(word).upper() for word in words[3:])
        return all(option in _PLAIN_SET or option.isdigit() for option in options)
    if name in _READING_PARTS:
        return len(words) > 1 and str(words[1]).upper() in _READING_PARTS[name]
    return len(words) == _WORDS.get(name, -1)
