"""What Redis' scripts do: each function is one script, so it happens completely or not at all."""

from tests.model.rules import Rules
from tests.model.state import (
    DEAD,
    LIST,
    About,
    Data,
    Element,
    Ending,
    Flight,
    Postgres,
    Request,
    Row,
    Server,
    Slice,
)


def is_open(server: Server, rules: Rules) -> bool:
    """Whether `claim.lua` and `replay.lua` may do anything on this server: the gate."""
    return not rules.gate_on_claims or server.data.server == server.run_id


def ingest(data: Data, request: Request, rules: Rules) -> tuple[str, Data]:
    """`ingest.lua`: "new", or why nothing was queued."""
    about, number = data.about, request.numbers[-1]
    if rules.generation_is_compared and data.generation != request.generation:
        return "other generation", data
    if about and about.content == request.content and about.listed:
        return "duplicate", data
    if about and rules.stale_scripts_are_refused and about.version > number:
        return "stale", data
    if data.flight or any(element.run for element in data.queue):
        return "busy", data
    refs = (*(about.refs if about else ()), (LIST, number))
    about = About(request.content, number, refs)
    return "new", data._replace(about=about, queue=(*data.queue, Element(LIST)))


def refs_of(data: Data, place: str) -> tuple[int, ...]:
    """The rows that `pc:about` names for a place."""
    return (
        tuple(number for where, number in data.about.refs if where == place) if data.about else ()
    )


def claim(data: Data) -> tuple[Data, Ending]:
    """`claim.lua`: the head of the queue goes in flight, with the next fencing token."""
    element, token = data.queue[0], data.tokens + 1
    run = element.run or token
    flight = Flight(token, run, element.place)
    content = data.about.content if data.about else 0
    ending = Ending(token, run, element.place, refs_of(data, element.place), content, False)
    ending = ending._replace(generation=data.generation)
    return data._replace(queue=data.queue[1:], flight=flight, tokens=token), ending


def rescue(data: Data) -> Data:
    """`rescue.lua`, or the return of a claim that its worker does not know."""
    assert data.flight
    element = Element(data.flight.place, data.flight.run)
    return data._replace(queue=(element, *data.queue), flight=None)


def holds(data: Data, ending: Ending) -> bool:
    """Whether a claim is still held: the fence."""
    return data.flight is not None and data.flight.token == ending.token


def settle(data: Data, ending: Ending, letter: int, late: bool) -> Data:
    """`settle.lua`; `late`: the release waits in `pc:history`. `letter`: the dead letter's row."""
    if not holds(data, ending):
        return data
    data = data._replace(flight=None)
    if late:
        data = data._replace(history=(*data.history, ending))
    if not ending.failed:
        return data
    about = data.about
    if about and letter:
        about = about._replace(refs=(*about.refs, (DEAD, letter)))
    return data._replace(letter=ending.run, about=about)


def replay(data: Data, number: int, run: int) -> Data:
    """`replay.lua`: the dead letter becomes an element of the run list."""
    about = data.about
    if about:
        about = about._replace(refs=(*about.refs, ("run", number)))
    return data._replace(letter=0, about=about, queue=(*data.queue, Element("run", run)))


def take_out(data: Data, part: Slice, postgres: Postgres, rules: Rules) -> Data:
    """Remove what is settled according to the rows that the slice has read."""
    ended = dict(postgres.runs)

    def is_settled(place: str, run: int) -> bool:
        if run in ended:
            return True
        if rules.taken_out_by_ref:
            refs = refs_of(data, place)
            return bool(refs) and part.closed.issuperset(refs)
        return any(
            row.place == place and not row.open and row.token > data.tokens for row in part.rows
        )

    queue = tuple(e for e in data.queue if not is_settled(e.place, e.run))
    flight = data.flight
    if flight and is_settled(flight.place, flight.run):
        flight = None
    replayed = {row.run for row in part.rows if row.place == DEAD and not row.open}
    letter = 0 if data.letter in replayed else data.letter
    about = data.about
    if about:
        about = about._replace(refs=tuple(ref for ref in about.refs if ref[1] not in part.closed))
    return data._replace(queue=queue, flight=flight, letter=letter, about=about)


def queue_again(data: Data, row: Row, rules: Rules) -> Data:
    """Push what an open row stands for, unless Redis knows it."""
    if knows(data, row, rules):
        return data
    about = data.about or About(row.content, row.number, (), listed=False)
    listed = about.listed or row.place == LIST
    content, version = about.content, about.version
    if row.number > version:
        content, version = row.content, row.number
    data = data._replace(
        about=About(content, version, (*about.refs, (row.place, row.number)), listed)
    )
    if row.place == DEAD:
        return data._replace(letter=row.run)
    run = row.run if row.place == "run" else 0
    return data._replace(queue=(*data.queue, Element(row.place, run)))


def knows(data: Data, row: Row, rules: Rules) -> bool:
    """Whether Redis knows a row: a hold for its place, or its name in `pc:about`."""
    if rules.known_by_ref and max(refs_of(data, row.place), default=0) >= row.number:
        return True
    if row.place == DEAD:
        return data.letter != 0
    about = data.about if rules.known_by_content and row.place == LIST else None
    if about and about.listed and about.content == row.content:
        return True
    return any(e.place == row.place for e in data.queue) or (
        data.flight is not None and data.flight.place == row.place
    )
