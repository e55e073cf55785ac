"""The contract at the edges of its rules: sizes, times, slugs and errors."""

from __future__ import annotations

import hashlib
import json

import pytest

from klippy_extra import contract
from klippy_extra.contract import (
    Command,
    ContractError,
    Entry,
    Event,
    Info,
    Limit,
    Meters,
    Result,
    State,
    Summary,
    Topic,
)

RODS = State(
    1, 2.0, "rods", "Rods", (Limit("a", "h", 9.0, 1.0, 8.0, 11.1, 2.0),), "a", "ok"
)
MESSAGES = [
    RODS,
    Info("u", "Voron", ("rods",), {"a": contract.Meter("h", "A")}),
    Meters(1, 2.0, {"a": 1.0}),
    Summary(1, 2.0, 0, 0, None, None, None),
    Event(1, 2.0, "rods", "done"),
    Result("t", "rods", seq=1),
]


def refusal(kind, fields):
    with pytest.raises(ContractError) as refused:
        kind.decode(json.dumps(fields).encode())
    return str(refused.value)


def fields_of(message, **changes):
    return dict(json.loads(message.encode()), **changes)


# Errors


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_every_message_without_a_schema_is_refused(message):
    fields = fields_of(message)
    del fields["schema"]
    assert refusal(type(message), fields) == "'schema' is missing"


@pytest.mark.parametrize(
    ("message", "name", "wanted"),
    [
        (RODS, "seq", "a whole number from 0 up"),
        (RODS, "time", "a number"),
        (RODS, "task", "a slug (a-z, 0-9, _, -)"),
        (RODS, "label", "text"),
        (RODS, "limits", "a list"),
        (RODS, "status", "one of ok, soon, due, snoozed, disabled"),
        (RODS, "match", "one of any, all"),
        (RODS, "enabled", "true or false"),
        (RODS, "done_count", "a whole number from 0 up"),
        (MESSAGES[1], "uuid", "text"),
        (MESSAGES[1], "name", "text"),
        (MESSAGES[1], "tasks", "a list"),
        (MESSAGES[1], "model", "text"),
        (MESSAGES[1], "commands", "true or false"),
        (MESSAGES[3], "due", "a whole number from 0 up"),
        (MESSAGES[3], "due_labels", "a list"),
        (MESSAGES[4], "event", "one of " + ", ".join(contract.EVENTS)),
        (MESSAGES[4], "task", "a slug (a-z, 0-9, _, -)"),
        (MESSAGES[5], "ok", "true or false"),
        (MESSAGES[5], "log", "a list"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(message, name, wanted):
    wrong = {"no": "such"}
    error = refusal(type(message), fields_of(message, **{name: wrong}))
    assert error == f"'{name}' is {wrong!r}, not {wanted}"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (RODS, "trigger"), (RODS, "limits"), (RODS, "task"), (RODS, "label"),
        (RODS, "status"), (RODS, "match"), (RODS, "enabled"), (RODS, "done_count"),
        (RODS, "time"), (MESSAGES[1], "uuid"), (MESSAGES[1], "name"),
        (MESSAGES[1], "tasks"), (MESSAGES[3], "soon"), (MESSAGES[4], "event"),
        (MESSAGES[4], "task"), (MESSAGES[5], "task"), (MESSAGES[5], "transaction"),
        (MESSAGES[5], "ok"), (MESSAGES[5], "seq"),
    ],
)  # fmt: skip
def test_a_missing_field_is_named(message, name):
    fields = fields_of(message)
    del fields[name]
    assert refusal(type(message), fields) == f"'{name}' is missing"


@pytest.mark.parametrize(
    ("message", "changes", "text"),
    [
        (RODS, {"trigger": "b"}, "'trigger' is 'b', not one of a"),
        (RODS, {"limits": [5]}, "5 is not an object"),
        (RODS, {"limits": [{}]}, "'meter' is missing"),
        (RODS, {"places": [5]}, "'places' is 5, not text"),
        (RODS, {"label": "\ud800"}, "'label' is '\\ud800', not text in UTF-8"),
        (RODS, {"due_at": "soon"}, "'soon' is no ISO time"),
        (RODS, {"due_at": 5}, "'due_at' is 5, not text"),
        (RODS, {"habit": 5}, "5 is not an object"),
        (MESSAGES[1], {"tasks": ["A"]}, "'task' is 'A', not a slug (a-z, 0-9, _, -)"),
        (MESSAGES[1], {"meters": {"a": {}}}, "'unit' is missing"),
        (MESSAGES[2], {"meters": {"a": "b"}}, "'a' is 'b', not a number"),
        (MESSAGES[2], {"meters": None}, "None is not an object"),
        (MESSAGES[3], {"job": {}}, "'file' is missing"),
        (MESSAGES[3], {"job": {"file": "a", "ahead": 5}}, "'ahead' is 5, not a list"),
        (MESSAGES[5], {"history": {"a": 5}}, "'history' is 5, not a list"),
        (MESSAGES[5], {"history": {"a": [[1]]}},
         "'history' is [[1]], not pairs of a moment and a reading"),
        (MESSAGES[5], {"history": {"a": [["x", 1]]}}, "'time' is 'x', not a number"),
        (MESSAGES[5], {"history": {"a": [[1, "x"]]}}, "'reading' is 'x', not a number"),
        (MESSAGES[5], {"log": [{}]}, "'time' is missing"),
        (MESSAGES[5], {"part": 5}, "5 is not an object"),
        (MESSAGES[5], {"ok": False}, "None is not an object"),
        (MESSAGES[5], {"ok": False, "error": {}}, "'code' is missing"),
    ],
)  # fmt: skip
def test_a_wrong_value_inside_a_field_is_named(message, changes, text):
    fields = fields_of(message, **changes)
    if changes.get("log") == [{}]:
        fields["log"] = [{"used": {}}]
    assert refusal(type(message), fields) == text


def test_an_entry_of_the_log_without_its_use_is_refused():
    entry = {"time": "2026-11-27T00:00:00Z", "task": "rods", "event": "done"}
    fields = fields_of(MESSAGES[5], log=[entry])
    assert refusal(Result, fields) == "None is not an object"
    fields["log"] = [dict(entry, used={"a\n": 1}, condition="worn")]
    (read,) = Result.decode(json.dumps(fields).encode()).log
    assert read == Entry(1795737600, "rods", "done", "", "", {"a ": 1.0}, "worn")
    fields["log"] = [dict(entry, used={}, condition="wild")]
    error = refusal(Result, fields)
    assert error == "'condition' is 'wild', not one of good, worn, broken"


def test_fields_that_older_printers_leave_out_of_results_and_events_are_empty():
    fields = {"schema": 1, "transaction": "t", "task": "rods", "ok": False}
    fields["error"] = {"code": "internal"}
    result = Result.decode(json.dumps(fields).encode())
    assert result == Result("t", "rods", code="internal", text="")
    assert not result.ok
    event = {"schema": 1, "seq": 1, "time": 2, "task": "rods", "event": "done"}
    assert Event.decode(json.dumps(event).encode()) == MESSAGES[4]
    fields = {"meter": "a", "threshold": 1.0, "unit": "h"}
    assert contract.Suggestion.of(fields) == ("a", 1.0, "h", "", "")


# Sizes


def test_a_command_has_at_most_4096_bytes():
    payload = b'{"command": "done"}'
    payload += b" " * (4096 - len(payload))
    assert Command.decode(payload) == Command("done")
    with pytest.raises(ContractError, match="a command has at most 4096 bytes"):
        Command.decode(payload + b" ")


def test_a_message_has_at_most_a_mebibyte():
    payload = MESSAGES[2].encode()
    payload += b" " * (contract.MAX_PAYLOAD - len(payload))
    assert Meters.decode(payload) == MESSAGES[2]
    with pytest.raises(ContractError, match="more than 1048576 bytes"):
        Meters.decode(payload + b" ")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_refused_in_fields_that_nobody_reads_too(word):
    payload = MESSAGES[2].encode()[:-1] + b', "colour": ' + word.encode() + b"}"
    with pytest.raises(ContractError, match=f"{word} is no number"):
        Meters.decode(payload)


def test_a_transaction_has_1_to_64_letters():
    longest = json.dumps({"command": "done", "transaction": "t" * 64}).encode()
    assert Command.decode(longest).transaction == "t" * 64
    error = refusal(Command, {"command": "done", "transaction": "t" * 65})
    assert error.endswith("not 1 to 64 characters")
    assert error.startswith("'transaction' is 'ttt")
    assert refusal(Command, {"command": "done", "transaction": 5}) == (
        "'transaction' is 5, not text"
    )


def test_a_note_and_a_name_are_cut_after_1000_letters():
    fields = {"command": "done", "note": "n" * 1001, "by": "b" * 1001}
    command = Command.decode(json.dumps(fields).encode())
    assert (command.note, command.by) == ("n" * 1000, "b" * 1000)
    fields = {"command": "done", "note": "n" * 1000, "by": "b" * 1000}
    assert Command.decode(json.dumps(fields).encode()).note == "n" * 1000


def test_a_whole_number_is_at_most_the_largest_exact_double():
    assert Meters.of(fields_of(MESSAGES[2], seq=2**53)).seq == 2**53
    error = refusal(Meters, fields_of(MESSAGES[2], seq=2**53 + 1))
    assert error == "'seq' is 'huge', not a whole number from 0 to 2^53"
    assert refusal(Meters, fields_of(MESSAGES[2], seq=-1)).startswith("'seq' is -1")
    assert refusal(Meters, fields_of(MESSAGES[2], seq=1.0)).startswith("'seq' is 1.0")


def test_a_state_has_at_most_32_limits():
    limit = fields_of(RODS)["limits"][0]
    limits = [dict(limit, meter=f"m{number}") for number in range(33)]
    fields = fields_of(RODS, limits=limits[:32], trigger="m31")
    assert len(State.of(fields).limits) == 32
    error = refusal(State, dict(fields, limits=limits))
    assert error == "more than 32 limits"


def test_cleaning_a_text_keeps_a_space_between_words():
    assert contract.clean("a\r\n\tb\x7fc") == "a b c"
    assert contract.clean("x" * 4001) == "x" * 4000


# Commands


def test_hours_for_each_meter_are_refused():
    error = refusal(Command, {"command": "snooze", "for": {"a": 1}})
    assert error == "'for' is a number of hours"


def test_an_unknown_field_is_ignored_and_a_field_of_another_command_is_refused():
    fields = {"command": "enable", "colour": "blue"}
    assert Command.decode(json.dumps(fields).encode()) == Command("enable")
    for name in ("note", "at", "used", "for", "threshold", "limit", "place", "part"):
        error = refusal(Command, {"command": "enable", name: 1})
        assert error == f"'enable' takes no {name!r}"


@pytest.mark.parametrize("word", sorted(contract.ARGUMENTS))
def test_a_bare_word_is_a_command_unless_it_needs_arguments(word):
    needs = dict(contract.REQUIRED).get(word)
    if needs is None and word != "set":
        assert Command.decode(word.encode()) == Command(word)
        return
    with pytest.raises(ContractError) as refused:
        Command.decode(word.encode())
    assert str(refused.value).startswith(f"'{word}' needs ")


def test_fields_without_a_value_are_not_sent():
    assert json.loads(Command("log", "t").encode()) == {
        "command": "log",
        "transaction": "t",
    }
    at = json.loads(Command("done", at=0, used=0.0).encode())
    assert at == {"command": "done", "at": "1970-01-01T00:00:00Z", "used": 0.0}


def test_the_condition_may_be_left_out_or_empty():
    for fields in ({}, {"condition": None}, {"condition": ""}):
        payload = json.dumps(dict(fields, command="done")).encode()
        assert Command.decode(payload).condition == ""


def test_a_command_that_is_not_utf_8_raises_the_contracts_error():
    with pytest.raises(ContractError, match="not JSON"):
        Command.decode(b"done\xff")


# Times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:01.900000+00:00", 1),
        ("1969-12-31T23:59:59.500000Z", -1),
    ],
)
def test_a_time_is_rounded_down_to_the_second(text, seconds):
    assert contract.moment(text) == seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-01-01T00:00:00", "'2026-01-01T00:00:00' has no UTC offset"),
        ("x" * 50, "'{}' is no ISO time".format("x" * 40)),
        ("2026-13-01T00:00:00Z", "'2026-13-01T00:00:00Z' is no ISO time"),
    ],
)
def test_an_invalid_time_is_quoted_in_the_error(text, why):
    with pytest.raises(ContractError) as refused:
        contract.moment(text)
    assert str(refused.value) == why


def test_a_time_is_written_in_utc_and_in_whole_seconds():
    assert contract.iso(1795219200.9) == "2026-11-21T00:00:00Z"
    assert contract.iso(0) == "1970-01-01T00:00:00Z"
    assert contract.iso(None) is None


# Slugs and topics


def digest(text):
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("rods", "rods"),
        ("Clean & oil!", "clean_oil"),
        ("-A-b-", "a-b"),
        ("Öl: Düse", "ol_duse"),
        ("A" * 63, "a" * 63),
        ("A" * 64, "a" * 56 + "_" + digest("A" * 64)),
        ("A" * 55 + "! " + "B" * 9, "a" * 55 + "_" + digest("A" * 55 + "! " + "B" * 9)),
        ("Сопло", digest("Сопло")),
        ("Сопло 1", "1_" + digest("Сопло 1")),
        ("!!!", digest("!!!")),
        ("", digest("")),
        ("x\ud800 Ж", "x_" + digest("x\ud800 Ж")),
    ],
)
def test_a_name_becomes_a_slug(name, slug):
    assert contract.slug(name) == slug
    assert contract.is_slug(slug)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("a", True), ("a" * 63, True), ("a" * 64, False), ("_a", False), ("-a", False),
     ("A", False), ("a\n", False), ("", False), ("0_-9", True)],
)  # fmt: skip
def test_a_slug_has_1_to_63_plain_letters(text, is_one):
    assert contract.is_slug(text) is is_one


@pytest.mark.parametrize(
    "topic",
    [
        "b", "b/", "b/v", "b/v/", "b/v/nothing", "b/v/info/more", "b/v/tasks",
        "b/v/tasks/", "b/v/tasks/Rods", "b/v/tasks/rods/other", "b/V/info",
        "b/v/tasks/rods/command/more", "b//info", "bb/v/info", "a/b/v/info", "b/v/task",
        "b/v/other/rods", "b/v/info/rods",
    ],
)  # fmt: skip
def test_a_topic_outside_the_contract_is_refused(topic):
    with pytest.raises(ContractError, match=r"is not below 'b'|is no topic of ours"):
        Topic.parse("b", topic)


def test_no_name_has_half_of_a_surrogate_pair() -> None:
    # Klippy shuts down if msgspec gets one; JSON can spell it.
    assert contract.clean("a\ud800\udfffb") == "a b"
