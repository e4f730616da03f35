"""`find` and `erase`: the vCons of a person."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import count, uuid_word, within
from schemas.operator.people import ErasedVcon, EraseParameters, EraseResult, FindQuery, FoundPage


def add_person(parser: argparse.ArgumentParser) -> Any:
    """Add the arguments that name a person; their group."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--tel", metavar="NUMBER", help="a phone number, in any notation")
    group.add_argument("--mail", metavar="ADDRESS", help="an address of a party")
    # words.name is that of the command
    group.add_argument(
        "--name", metavar="NAME", dest="party", help="the whole name of a party; accents matter"
    )
    return group


def person(words: argparse.Namespace) -> dict[str, Any]:
    """The value that was given, as arguments of an operation."""
    return {"tel": words.tel, "mail": words.mail, "name": words.party}


def _add_find(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    parser.add_argument(
        "--limit",
        type=within(count, FindQuery, "limit"),
        default=50,
        metavar="N",
        help="at most N (50)",
    )
    parser.add_argument("--cursor", metavar="TEXT", help="as the page before shows it")


def _find_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {**person(words), "limit": words.limit, "cursor": words.cursor}


def _render_found(page: FoundPage) -> Sequence[Shown]:
    rows = [
        (
            each.uuid,
            at(each.created_at),
            ", ".join(each.chains),
            ", ".join(each.storages),
            "yes" if each.in_redis else "no",
            "yes" if each.indexed else "no",
        )
        for each in page.vcons
    ]
    columns = ("vCon", "created (UTC)", "chains", "storages", "in Redis", "indexed")
    more = [f"more with --cursor {page.cursor}"] if page.cursor else []
    return [Table(f"vCons of {page.sought}", columns, rows), *page.notes, *more]


def _add_erase(parser: argparse.ArgumentParser) -> None:
    group = add_person(parser)
    group.add_argument(
        "--uuid", type=uuid_word, action="append", metavar="UUID", help="of a vCon; may be repeated"
    )
    parser.add_argument("--dry-run", action="store_true", help="count and show, delete nothing")
    parser.add_argument(
        "--limit",
        type=within(count, EraseParameters, "limit"),
        default=1000,
        metavar="N",
        help="at most N (1000)",
    )


def _erase_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    told = {"uuids": words.uuid or [], "limit": words.limit, "dry_run": words.dry_run}
    return {**person(words), **told}


def _places(vcon: ErasedVcon, *outcomes: str) -> str:
    return ", ".join(each.place for each in vcon.places if each.outcome in outcomes)


def _problems(vcon: ErasedVcon) -> str:
    told = [each for each in vcon.places if each.error or each.outcome == "being processed"]
    return "; ".join(f"{each.place}: {each.error or each.outcome}" for each in told)


def _render_erased(result: EraseResult) -> Sequence[Shown]:
    done = "would be deleted" if result.dry_run else "deleted"
    rows = [
        (
            each.uuid,
            each.made_from,
            _places(each, done),
            _places(each, "absent"),
            _problems(each),
        )
        for each in result.vcons
    ]
    columns = ("vCon", "made from", f"{done} from", "not in", "problems")
    if result.dry_run:
        counts = f"{result.found} vCons would be erased"
    else:
        counts = f"{result.erased} of {result.found} vCons erased, {result.left} left"
    more = ["there are more than --limit: repeat"] if result.more else []
    return [Table("", columns, rows), counts, *result.notes, *more]


def _is_complete(result: EraseResult) -> bool:
    return result.dry_run or not (result.left or result.more or result.notes)


def _question(words: argparse.Namespace) -> str:
    about = words.tel or words.mail or words.party or ", ".join(words.uuid or [])
    return f"delete every vCon of {about} from Redis and all storages?"


COMMANDS = (
    CliCommand(
        words=("find",),
        operation="find",
        summary="find the vCons of a person, also those that Redis no longer has",
        example="find --tel '(201) 555-0123'",
        render=_render_found,
        add_arguments=_add_find,
        arguments=_find_arguments,
    ),
    CliCommand(
        words=("erase",),
        operation="erase",
        summary="delete the vCons of a person from Redis and all storages",
        example="erase --tel '(201) 555-0123' --dry-run",
        render=_render_erased,
        add_arguments=_add_erase,
        arguments=_erase_arguments,
        well=_is_complete,
        question=_question,
        changes=True,
    ),
)
