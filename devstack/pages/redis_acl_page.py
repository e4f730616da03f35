"""`python -m devstack.pages.redis_acl_page` writes docs/redis-acl.md from scripts and source.

The commands are all words in capitals, in the scripts and in the strings of the service's code,
that are commands of Redis; a test compares with the commands of a real server that what is in
`COMMANDS` is not too little. The key patterns are those of `pipeline/redis_client/keys.py`.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pipeline.redis_client import keys

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "redis-acl.md"
SCRIPTS = ROOT / "pipeline" / "redis_client" / "scripts"
ROOMS = ("pipeline", "lib", "app")
LISTING = ROOT / "pipeline" / "redis_client" / "driver" / "repeatable.py"
"""Names commands that nothing sends."""
_COMMANDS = (
    "APPEND BLMOVE BLMPOP BLPOP BRPOP BZPOPMAX BZPOPMIN CONFIG COPY DBSIZE DECR DECRBY DEL DUMP "
    "EVAL EVALSHA EXISTS EXPIRE EXPIREAT EXPIRETIME GET GETDEL GETEX GETRANGE GETSET HDEL "
    "HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET "
    "HSETNX HSTRLEN HVALS INCR INCRBY INCRBYFLOAT INFO LASTSAVE LINDEX LINSERT LLEN LMOVE LMPOP "
    "LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MSET MSETNX OBJECT PERSIST "
    "PEXPIRE PEXPIREAT PING PSETEX PTTL PUBLISH RANDOMKEY RENAME RENAMENX RESTORE RPOP RPUSH "
    "RPUSHX SADD SCAN SCARD SCRIPT SDIFF SET SETEX SETNX SETRANGE SINTER SISMEMBER SLOWLOG "
    "SMEMBERS SMISMEMBER SMOVE SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSCRIBE SUNION TIME TOUCH "
    "TTL TYPE UNLINK WAIT XADD XDEL XLEN XRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZMSCORE ZPOPMAX "
    "ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYRANK ZREMRANGEBYSCORE "
    "ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE"
)
COMMANDS = frozenset(_COMMANDS.split())
"""Commands of Redis that a word in capitals may be; those of JSON are told by their point."""
BY_METHODS = ("BLMOVE", "BLPOP", "SUBSCRIBE", "UNSUBSCRIBE")
"""Commands that methods of the driver send: for blocking, and for messages."""
OF_DRIVER = ("CLIENT|SETINFO", "HELLO", "SELECT")
SUBCOMMANDS = {
    "CONFIG": ("CONFIG|GET",),
    "MEMORY": ("MEMORY|USAGE",),
    "SCRIPT": ("SCRIPT|LOAD",),
    "SLOWLOG": (),  # what the service only names
}
OPTIONAL = {
    "CONFIG|GET": "without it nothing warns of settings with which Redis loses vCons",
}
CHANNELS = (keys.FINISHED_CHANNEL, keys.CANCEL_CHANNEL)
_WORD = re.compile(r"[A-Z]+|JSON\.[A-Z]+")
_QUOTED = re.compile(r"['\"]([A-Z]+|JSON\.[A-Z]+)['\"]")

INTRODUCTION = """\
# A user of Redis for the service

With this page you make a user of Redis' ACL that may do what the service does, and nothing else.
`REDIS_URL` has the user and the password: `redis://patchcord:password@host:6379/0`. The page is
written by `python -m devstack.pages.redis_acl_page` from the scripts and the source; a test runs
the service as such a user.
"""
LISTS = """
The last line is for your configuration: the lists that your chains read and write (`ingress_lists`,
`egress_lists`), and `VCON_SORTED_SET_NAME` if it is not `vcons`. Links that use `lib.redis_mgr`
need what they themselves send and read.
"""
NOTES = """
## Notes
- A refused command is not executed, and its caller gets `NOPERM`; `ACL LOG` on the server tells
  which command or key it was.
- The list of lists that no chain reads (`check`, `ListChains`) has those alone that the user may
  read.
- Sentinels have an ACL of their own (`REDIS_SENTINEL_USER`): `+sentinel|masters +hello
  +client|setinfo`. The user of replication is another one, too: `+psync +replconf +ping`.
- Make other users for `redis-cli` and other programs on the same Redis. Adapters that queue vCons
  by themselves need `~vcon:*`, their ingress lists, `+json.set` and `+rpush`.
"""


def commands() -> list[str]:
    """Every command that the service sends, subcommands with their command."""
    found = {*_in_scripts(), *_in_source(), *BY_METHODS}
    plain = {name for name in found if name not in SUBCOMMANDS}
    parts = {part for name in found & SUBCOMMANDS.keys() for part in SUBCOMMANDS[name]}
    return sorted({*plain, *parts, *OF_DRIVER})


def words() -> set[str]:
    """Words in capitals in the scripts and in the strings of the source, commands or not."""
    quoted = (name for text in _texts() for name in _QUOTED.findall(text))
    return {*quoted, *(text for text in _strings() if _WORD.fullmatch(text))}


def _in_scripts() -> Iterator[str]:
    return _known(name for text in _texts() for name in _QUOTED.findall(text))


def _texts() -> Iterator[str]:
    return (path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.rglob("*.lua")))


def _in_source() -> Iterator[str]:
    return _known(text for text in _strings() if _WORD.fullmatch(text))


@cache
def _strings() -> frozenset[str]:
    return frozenset(
        node.value
        for room in ROOMS
        for path in sorted({*(ROOT / room).rglob("*.py")} - {LISTING})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _known(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name in COMMANDS or name.startswith("JSON."))


def key_patterns() -> list[str]:
    """The keys of the service, without the lists of a configuration."""
    return [f"~{prefix}*" for prefix in keys.RESERVED_PREFIXES] + ["~vcons"]


def rights(lists: Iterable[str] = ()) -> list[str]:
    """The words of `ACL SETUSER` after name and password, with these lists of a configuration."""
    return [
        "resetkeys",
        *key_patterns(),
        *(f"~{name}" for name in lists),
        "resetchannels",
        *(f"&{channel}" for channel in CHANNELS),
        "-@all",
        *(f"+{name.lower()}" for name in commands()),
    ]


def page() -> str:
    """The content of the page."""
    patterns = " ".join([*key_patterns(), *(f"&{channel}" for channel in CHANNELS)])
    lines = [
        "ACL SETUSER patchcord on >password resetkeys resetchannels -@all",
        *_wrapped(f"ACL SETUSER patchcord {patterns}"),
        *_wrapped("ACL SETUSER patchcord " + " ".join(f"+{name.lower()}" for name in commands())),
        "ACL SETUSER patchcord ~ingress_list ~egress_list",
    ]
    block = "\n".join(["", "```", *lines, "```"])
    told = "\n".join(f"- `{name.lower()}`: {why}." for name, why in OPTIONAL.items())
    optional = f"\n## Commands that may be left out\n{told}\n"
    return f"{INTRODUCTION}{block}\n{LISTS}{optional}{NOTES}"


def _wrapped(line: str) -> Iterator[str]:
    """One command as several ones, of at most 110 characters each."""
    head, words = line.split(" ")[:3], line.split(" ")[3:]
    row: list[str] = []
    for word in words:
        if len(" ".join([*head, *row, word])) > 110:
            yield " ".join([*head, *row])
            row = []
        row.append(word)
    yield " ".join([*head, *row])


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
