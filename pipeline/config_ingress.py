"""The `ingress_auth` section. Messages name a key by its position, never by its value."""

from pipeline.config_environment import Where
from pipeline.config_section import Section, spelled


def read_ingress_auth(auth: Section) -> dict[str, tuple[str, ...]]:
    """The keys that open each ingress list."""
    places: dict[str, Where] = {}
    return {name: _keys(name, auth, places) for name in auth}


def _keys(name: str, auth: Section, places: dict[str, Where]) -> tuple[str, ...]:
    """The sound keys of one list; `places` remembers where each key of any list was first given."""
    keys = []
    for where, key in _given(name, auth):
        if not isinstance(key, str) or not key.strip():
            auth.findings.text_wanted(where, "a key must be a text, quoted and not empty", key)
        elif key in places:
            _report_repeated(auth, where, places[key])
        else:
            places[key] = where
            keys.append(key)
    return tuple(keys)


def _given(name: str, auth: Section) -> list[tuple[Where, object]]:
    content = auth.raw(name)
    if content is None or isinstance(content, list):
        return auth.entries(name)
    if isinstance(content, str):
        return [((*auth.where, name), content)]
    text = "must be a key or a list of keys, each a text"
    auth.findings.text_wanted((*auth.where, name), text, content)
    return []


def _report_repeated(auth: Section, where: Where, first: Where) -> None:
    """A key opens one list only: it is also what tells partners apart."""
    if where[:2] == first[:2]:
        auth.findings.note(where, f"the same key as {spelled(first)}")
    else:
        auth.findings.problem(where, f"the same key as {spelled(first)}; give each list its own")
