"""What plugins written for vcon-server call on a `vcon.Vcon`, each thing that is added to it."""

import copy
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lib.vcon_library import vcon_class

UUID = "0190163d-8694-739b-aea5-966c26f8ad91"


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """The library writes lines for everything it does, once it is imported."""
    vcon_class()
    logging.getLogger("vcon").setLevel(logging.ERROR)


def a_vcon(**fields: Any) -> Any:
    """A vCon object with these fields."""
    head = {"vcon": "0.4.0", "uuid": UUID, "created_at": "2024-05-01T10:00:00Z"}
    lists = {name: [] for name in ("parties", "dialog", "analysis", "attachments")}
    return vcon_class()(head | lists | fields)


def test_whoever_imports_the_class_gets_it_with_the_additions() -> None:
    """There is one class, and importing it is enough."""
    from vcon import Vcon

    assert Vcon is vcon_class()
    assert hasattr(Vcon, "with_decoded_body")


def test_a_vcon_may_be_made_of_its_text() -> None:
    """As it comes from Redis or a queue; what is no JSON is said to be none."""
    assert vcon_class()(f'{{"uuid": "{UUID}", "vcon": "0.4.0"}}').uuid == UUID
    with pytest.raises(json.JSONDecodeError):
        vcon_class()("{")


@pytest.mark.parametrize("name", ["purpose", "type"])
def test_a_tag_is_added_to_tags_of_any_form(name: str) -> None:
    """Beside attachments without purpose, and under the older name."""
    old = {name: "tags", "body": '["a:b:c"]', "encoding": "json"}
    vcon = a_vcon(attachments=[{"body": "x"}, old])
    vcon.add_tag("seen", "yes")
    assert vcon.decoded_body(vcon.tags) == ["a:b:c", "seen:yes"]
    assert (vcon.get_tag("a"), vcon.get_tag("seen"), vcon.get_tag("b")) == ("b:c", "yes", None)
    assert len(vcon.attachments) == 2


def test_get_tag_of_a_vcon_without_tags() -> None:
    """None, also when the body of the tags is no list."""
    assert a_vcon().get_tag("x") is None
    assert a_vcon(attachments=[{"purpose": "tags", "body": "x"}]).get_tag("x") is None


def test_attachments_are_found_by_purpose_and_by_type() -> None:
    """By either name; none is None."""
    vcon = a_vcon(attachments=[{"type": "old"}, {"purpose": "new"}])
    for find in (vcon.find_attachment_by_type, vcon.find_attachment_by_purpose):
        assert (find("old"), find("new"), find("x")) == ({"type": "old"}, {"purpose": "new"}, None)


def test_an_analysis_without_type_is_passed_over() -> None:
    """The library raises KeyError."""
    vcon = a_vcon(analysis=[{"vendor": "x"}, {"type": "summary", "vendor": "y"}])
    assert vcon.find_analysis_by_type("summary")["vendor"] == "y"
    assert vcon.find_analysis_by_type("x") is None


def test_an_attachment_may_be_added_by_type() -> None:
    """vcon-server's keywords; the library's own work as before."""
    vcon = a_vcon()
    vcon.add_attachment(body="x", type="note", encoding="none")
    vcon.add_attachment("other", "y")
    assert [each["purpose"] for each in vcon.attachments] == ["note", "other"]


def test_extra_fields_of_an_analysis_are_merged() -> None:
    """`extra={}` is what vcon-server calls further fields; the library would nest them."""
    vcon = a_vcon()
    fields = {"type": "summary", "dialog": 0, "vendor": "x", "body": "y"}
    vcon.add_analysis(**fields, extra={"product": "p", "model": "m"})
    vcon.add_analysis(**fields, extra={})
    first, second = vcon.analysis
    assert (first["product"], first["model"]) == ("p", "m")
    assert "extra" not in first | second


def test_an_analysis_is_added_where_there_was_no_list() -> None:
    """A plugin that removed all analyses leaves a vCon that others can add to."""
    vcon = a_vcon()
    del vcon.vcon_dict["analysis"]
    vcon.add_analysis(type="summary", dialog=0, vendor="x", body="y")
    assert len(vcon.analysis) == 1


def test_parties_and_dialogs_may_be_added_as_dicts() -> None:
    """As well as the library's objects."""
    from vcon.dialog import Dialog
    from vcon.party import Party

    vcon = a_vcon()
    vcon.add_party({"tel": "+1"})
    vcon.add_party(Party(tel="+2"))
    vcon.add_dialog({"type": "text", "start": "2024-05-01T10:00:00Z", "parties": [0], "x": 1})
    vcon.add_dialog(Dialog(type="recording", start="2024-05-01T10:00:00Z", parties=[1]))
    assert [each["tel"] for each in vcon.parties] == ["+1", "+2"]
    assert [each["type"] for each in vcon.dialog] == ["text", "recording"]


DIALOGS = [
    {"type": "text", "body": "x"},
    {},
    {"type": "incomplete"},
    {"type": "recording", "start": None, "parties": [0], "x": {"deep": 7}, "url": "https://a/b"},
]


@pytest.mark.parametrize(("by", "value", "place"), [("type", "text", 0), ("x.deep", 7, 3)])
def test_a_dialog_that_is_found_is_the_entry_itself(by: str, value: Any, place: int) -> None:
    """Also with missing members; a change to it changes the vCon."""
    vcon = a_vcon(dialog=DIALOGS)
    found = vcon.find_dialog(by, value)
    assert found == DIALOGS[place]
    assert isinstance(found, dict)
    found["seen"] = True
    assert vcon.to_dict()["dialog"][place] == {**DIALOGS[place], "seen": True}
    assert vcon.find_dialog(by, value) is found
    assert json.loads(json.dumps(found)) == copy.deepcopy(found) == dict(found)


def test_a_dialog_that_cannot_be_a_librarys_object_is_found() -> None:
    """One without start, parties or disposition; none is None."""
    vcon = a_vcon(dialog=DIALOGS)
    assert vcon.find_dialog("type", "incomplete") == {"type": "incomplete"}
    assert vcon.find_dialog("type", "video") is None
    del vcon.vcon_dict["dialog"]
    assert vcon.find_dialog("type", "text") is None


def test_a_dialog_that_is_found_is_one_of_the_librarys_too() -> None:
    """Its attributes and methods are there for plugins that know the library's class."""
    from vcon.dialog import Dialog

    vcon = a_vcon(dialog=DIALOGS)
    found = vcon.find_dialog("type", "recording")
    assert isinstance(found, Dialog)
    assert (found.type, found.url, found.meta, hasattr(found, "body")) == (
        "recording",
        "https://a/b",
        {},
        False,
    )
    assert (found.is_recording(), found.is_external_data(), found.is_text()) == (True, True, False)
    found.set_session_id("s")
    assert found.to_dict() == vcon.dialog[3]
    assert vcon.dialog[3]["session_id"] == "s"


def test_bodies_are_decoded_in_a_copy() -> None:
    """`with_decoded_body` leaves the entry as it is."""
    entry = {"type": "t", "body": '{"a": 1}', "encoding": "json"}
    assert vcon_class().with_decoded_body(entry) == {**entry, "body": {"a": 1}}
    assert entry["body"] == '{"a": 1}'
    for nothing in (None, {}):
        assert vcon_class().with_decoded_body(nothing) is None


TEXT = {"body": '["a"]', "encoding": "json"}


@pytest.mark.parametrize("body", [["a"], '["a"]'])
def test_an_attachment_holds_what_was_given_and_its_body_is_text_at_once(body: Any) -> None:
    """By either signature: no party, dialog or start is made up."""
    vcon = a_vcon()
    encoding = {} if isinstance(body, list) else {"encoding": "json"}
    vcon.add_attachment(body=body, type="note", **encoding)
    vcon.add_attachment("note", body, **encoding)
    vcon.add_attachment("note", body, *encoding.values(), party=1, dialog=0, start="now")
    plain = {"purpose": "note", **TEXT}
    assert vcon.attachments == [plain, plain, {**plain, "party": 1, "dialog": 0, "start": "now"}]


def test_an_image_is_added_without_what_nobody_said(tmp_path: Path) -> None:
    """Its media type is read off its name, and stays."""
    image = tmp_path / "a.jpeg"
    image.write_bytes(b"x")
    vcon = a_vcon()
    vcon.add_image(str(image))
    assert vcon.attachments == [
        {
            "purpose": "image",
            "body": "eA",
            "encoding": "base64url",
            "mediatype": "image/jpeg",
            "filename": "a.jpeg",
        }
    ]


@pytest.mark.parametrize("body", [{"a": [1]}, ["a"]])
def test_the_body_of_an_analysis_is_text_at_once(body: Any) -> None:
    """Plugins behind it call `json.loads` on it."""
    vcon = a_vcon()
    vcon.add_analysis(type="t", dialog=0, vendor="v", body=body)
    vcon.add_analysis(type="t", dialog=0, vendor="v", body=body, encoding="json", extra={"x": 1})
    assert [json.loads(each["body"]) for each in vcon.analysis] == [body, body]
    assert [each["encoding"] for each in vcon.analysis] == ["json", "json"]


@pytest.mark.parametrize(
    ("there", "tags"),
    [
        (None, []),
        ({"purpose": "tags"}, []),
        ({"purpose": "tags", "body": ["a:b"], "encoding": "none"}, ["a:b"]),
        ({"type": "tags", "body": '["a:b"]', "encoding": "json"}, ["a:b"]),
        ({"purpose": "tags", "body": {"a": "b"}}, ["a:b"]),
        ({"purpose": "tags", "body": "vip", "encoding": "none"}, ["vip"]),
    ],
)
def test_a_tag_is_written_as_vcon_server_writes_it(there: Any, tags: list[str]) -> None:
    """As JSON text, beside those that are there in any form, and with nothing made up."""
    vcon = a_vcon(attachments=[dict(there)] if there else [])
    vcon.add_tag("n", "v")
    named = {name: value for name, value in (there or {}).items() if name in ("type", "purpose")}
    body = json.dumps([*tags, "n:v"])
    assert vcon.attachments == [
        {**(named or {"purpose": "tags"}), "body": body, "encoding": "json"}
    ]


@pytest.mark.parametrize("written", ["2016-12-31T23:59:60Z", "2024-05-01T10:00:00.5Z", "soon"])
def test_the_time_of_a_vcon_stays_as_it_is_written(written: str) -> None:
    """And the dict that it is made of stays untouched."""
    given = {"uuid": UUID, "created_at": written}
    assert vcon_class()(given).created_at == written
    assert given == {"uuid": UUID, "created_at": written}


def test_the_hash_is_vcon_servers() -> None:
    """SHA-256 of the document as `json.dumps` writes it."""
    vcon = a_vcon(subject="ü")
    assert vcon.hash == hashlib.sha256(json.dumps(vcon.to_dict()).encode()).hexdigest()


def test_lists_can_be_set() -> None:
    """Links replace whole lists."""
    vcon = a_vcon()
    for name in ("parties", "dialog", "attachments", "analysis"):
        setattr(vcon, name, [{"x": name}])
        assert vcon.to_dict()[name] == [{"x": name}]


@pytest.mark.parametrize("name", ["amended", "appended"])
def test_the_amended_vcon_has_its_older_name(name: str) -> None:
    """Under both names in the document."""
    assert a_vcon().appended is None
    vcon = a_vcon()
    vcon.vcon_dict[name] = {"uuid": "x"}
    assert vcon.appended == {"uuid": "x"}
