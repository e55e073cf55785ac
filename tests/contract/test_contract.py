"""The contract: each message means what its golden file says, in all three copies."""

from __future__ import annotations

import contextlib
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra import contract
from klippy_extra.contract import (
    Command,
    ContractError,
    Entry,
    Event,
    Info,
    Limit,
    Meter,
    Meters,
    Result,
    State,
    Summary,
    Topic,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = HERE / "golden"

RODS = State(
    seq=4711,
    time=1795219200.125,
    task="rods",
    label="Clean and oil the rods",
    message="Wipe, then one drop of oil on each.",
    guide="https://example.org/rods",
    limits=(
        Limit("print_time", "h", 150.0, 112.5, 37.5, 75.0, 15.0),
        Limit("time", "h", 720.0, 200.0, 520.0, 27.78, 72.0),
    ),
    trigger="print_time",
    status="ok",
    last_done=1785691211,
    last_by="anna",
    done_count=3,
    due_at=1796803200,
)
MESSAGES = {
    "state.json": RODS,
    "state_overdue.json": RODS._replace(
        limits=(Limit("jobs_completed", "", 100.0, 103.0, -3.0, 103.0, 10.0),),
        trigger="jobs_completed",
        status="snoozed",
        snoozed_until=1795305600,
        match="all",
        due_at=None,
        problem="'jobs_complete' is no meter of this printer.",
    ),
    "info.json": Info(
        uuid="0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        name="Voron 2.4",
        tasks=("rods", "belts"),
        meters={"print_time": Meter("h", "Print time"), "jobs": Meter("", "Jobs")},
        model="Voron 2.4 350",
        version="0.1.0",
        host="voron",
        url="http://voron.local",
        klipper_version="v0.13.0",
        klipper_state="ready",
    ),
    "meters.json": Meters(4712, 1795219201.0, {"print_time": 812.25, "jobs": 97.0}),
    "summary.json": Summary(
        4713, 1795219201.0, 1, 2, "rods", "Rods", 1796803200, ("Rods",)
    ),
    "summary_problem.json": Summary(
        4714, 1795219201.0, 0, 0, None, None, None, problem="The disk is full."
    ),
    "event.json": Event(
        4711, 1795219200.0, "rods", "done", "Rods", by="anna", note="two drops"
    ),
    "result.json": Result("3f2a", "rods", seq=4711),
    "result_refused.json": Result(
        "3f2b", "rods", code="bad_argument", text="'used' is -1, not at least 0"
    ),
    "result_log.json": Result(
        "3f2c",
        "rods",
        seq=4711,
        log=(Entry(1785691211, "rods", "done", "anna", "ok", {"print_time": 149.2}),),
    ),
    "command_done.json": Command(
        "done", "3f2a", by="anna", note="two drops", at=1785691211, used=1.5
    ),
    "command_set.json": Command(
        "set", "3f2d", threshold={"print_time": 200.0}, warn_at={"print_time": 20.0}
    ),
    "command_snooze.json": Command("snooze", "3f2e", hours=24.0),
    "state_learnt.json": RODS._replace(
        due_from=1796000000,
        due_to=1797000000,
        habit=contract.Habit("print_time", 5, 120.0, 140.0, 160.5, -0.07, True),
        suggestion=contract.Suggestion("print_time", 140.0, "h", "habit", "Often."),
    ),
    "state_part.json": RODS._replace(
        kind="nozzle", place="extruder", places=("extruder", "extruder1")
    ),
    "info_owned.json": Info(
        "0f1e", "Würfel", (), {}, commands=False, home_assistant="integration"
    ),
    "summary_job.json": Summary(
        4715,
        1795219201.0,
        0,
        1,
        "rods",
        "Rods",
        None,
        job=contract.Job(
            "gear.gcode",
            1795210000,
            12.5,
            80.25,
            ahead=(
                contract.Ahead("rods", "Rods", "print_time", 7.5, 1795237000, True),
                contract.Ahead("belts", "Belts", "time"),
            ),
            due=("Nozzle",),
            ended=True,
        ),
    ),
    "result_history.json": Result(
        "3f2f", "rods", seq=4716, history={"print_time": ((1.0, 2.0), (3.0, 4.5))}
    ),
    "result_export.json": Result("3f30", "n4", seq=4717, part={"slug": "n4"}),
    "command_log.json": Command("log", "3f31", limit=20, history=True, every=True),
    "command_condition.json": Command(
        "done", "3f32", condition="worn", note="Düse", used={"print_time": 0.0}
    ),
    "command_fit.json": Command("fit", "3f33", place="extruder"),
    "command_export.json": Command("export", "3f34", to="ender"),
    "command_import.json": Command("import", "3f35", part={"slug": "n4"}),
}


def test_a_field_that_an_older_printer_leaves_out_has_its_default():
    summary = json.loads((GOLDEN / "summary_job.json").read_text(encoding="utf-8"))
    summary["job"] = {"file": "gear.gcode", "ahead": [
        {"task": "rods", "label": "Rods", "meter": "print_time"}]}  # fmt: skip
    job = Summary.decode(json.dumps(summary).encode()).job
    ahead = contract.Ahead("rods", "Rods", "print_time", None, None, False)
    assert job == contract.Job("gear.gcode", ahead=(ahead,))
    summary["job"] = {"file": "gear.gcode"}
    assert Summary.decode(json.dumps(summary).encode()).job.ahead == ()
    for name in ("due_labels", "problem", "job"):
        del summary[name]
    old = Summary.decode(json.dumps(summary).encode())
    assert (old.due_labels, old.problem, old.job) == ((), None, None)

    state = json.loads((GOLDEN / "state.json").read_text(encoding="utf-8"))
    for name in ("message", "guide", "parts", "last_by"):
        del state[name]
    for limit in state["limits"]:
        del limit["warn_at"]
    old = State.decode(json.dumps(state).encode())
    assert (old.message, old.guide, old.parts, old.last_by) == ("", "", "", "")
    assert (old.kind, old.place, old.places) == ("", "", ())
    assert {limit.warn_at for limit in old.limits} == {0.0}

    info = json.loads((GOLDEN / "info.json").read_text(encoding="utf-8"))
    info = {name: info[name] for name in ("schema", "uuid", "name", "tasks", "meters")}
    old = Info.decode(json.dumps(info).encode())
    assert old == Info(*old[:4], software="")


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_letters_are_sent_as_they_are(name):
    """A message is as short as possible, and people can read it in a log."""
    assert b"\\u" not in MESSAGES[name].encode()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"used": -0.5}, "'used' is -0.5, not at least 0"),
        ({"used": {"print_time": -1}}, "'print_time' is -1.0, not at least 0"),
        ({"command": "set", "threshold": 0}, "'threshold' is 0.0, not above 0"),
        ({"command": "set", "warn_at": 0}, "'warn_at' is 0.0, not above 0"),
        ({"command": "set", "warn_at": {"x": -1}}, "'x' is -1.0, not above 0"),
        ({"command": "snooze", "for": 0}, "'for' is 0.0, not above 0"),
        ({"command": "set", "threshold": 10**400},
         "'threshold' is 'huge', not a finite number"),
        ({"command": "log", "limit": 2**53 + 1},
         "'limit' is 'huge', not a whole number from 0 to 2^53"),
        ({"command": "log", "limit": None}, "'limit' is missing"),
        ({"command": "export"}, "'export' needs 'to'"),
        ({"command": "import"}, "'import' needs 'part'"),
        ({"command": "import", "part": []}, "[] is not an object"),
        ({"command": "fit", "place": "e", "used": 1}, "'fit' takes no 'used'"),
    ],
)  # fmt: skip
def test_an_error_in_a_command_names_the_field(fields, text):
    with pytest.raises(ContractError) as caught:
        Command.decode(json.dumps({"command": "done", **fields}).encode())
    assert str(caught.value) == text


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_equals_its_golden_file(name):
    message = MESSAGES[name]
    golden = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    assert json.loads(message.encode()) == golden
    assert type(message).decode(json.dumps(golden).encode()) == message


@pytest.mark.parametrize("copy", ["mqtt_bridge", "integration"])
def test_the_copies_are_the_same_bytes(copy):
    folder = {
        "mqtt_bridge": ROOT / "mqtt_bridge",
        "integration": ROOT / "custom_components/klipper_upkeep",
    }[copy]
    original = (ROOT / "klippy_extra" / "contract.py").read_bytes()
    assert (folder / "contract.py").read_bytes() == original


# Messages that are sent may have control characters. Messages that are read never do.
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)
slugs = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
above = st.floats(min_value=0.01, max_value=1e9)
counts = st.integers(min_value=0, max_value=2**53)
moments = st.none() | st.integers(min_value=0, max_value=253402300799)
amounts = above | st.dictionaries(slugs, above, max_size=3)

limits = st.tuples(slugs, st.sampled_from(["h", "m", ""]), *[numbers] * 5).map(
    lambda values: Limit(*values)
)


def made(kind, *fields):
    """Do as st.builds, without making up the fields that have a default."""
    return st.tuples(*fields).map(lambda values: kind(*values))


habits = made(contract.Habit, slugs, counts, *[numbers] * 4, st.booleans())
suggestions = made(contract.Suggestion, slugs, numbers, texts, texts, texts)
passed = made(
    contract.Ahead, slugs, texts, texts, st.none() | numbers, moments, st.booleans()
)
jobs = made(
    contract.Job,
    texts,
    moments,
    st.none() | numbers,
    st.none() | numbers,
    st.lists(passed, max_size=3).map(tuple),
    st.lists(texts, max_size=3).map(tuple),
    st.booleans(),
)


@st.composite
def states(draw):
    chosen = draw(st.lists(limits, min_size=1, max_size=3, unique_by=lambda x: x[0]))
    return State(
        seq=draw(counts),
        time=draw(numbers),
        task=draw(slugs),
        label=draw(texts),
        limits=tuple(chosen),
        trigger=draw(st.sampled_from([each.meter for each in chosen])),
        status=draw(st.sampled_from(contract.STATUSES)),
        message=draw(texts),
        guide=draw(texts),
        parts=draw(texts),
        match=draw(st.sampled_from(contract.MATCHES)),
        enabled=draw(st.booleans()),
        snoozed_until=draw(moments),
        last_done=draw(moments),
        last_by=draw(texts),
        done_count=draw(counts),
        due_at=draw(moments),
        problem=draw(st.none() | texts),
        due_from=draw(moments),
        due_to=draw(moments),
        habit=draw(st.none() | habits),
        suggestion=draw(st.none() | suggestions),
    )


@st.composite
def commands(draw):
    command = draw(st.sampled_from(sorted(contract.ARGUMENTS)))
    kinds = {
        "note": texts,
        "at": moments,
        "used": amounts,
        "for": above,
        "threshold": amounts,
        "warn_at": amounts,
        "limit": counts,
        "history": st.just(True),
        "every": st.just(True),
        "condition": st.sampled_from(contract.CONDITIONS),
        "place": texts.filter(bool),
        "to": texts.filter(bool),
        "part": st.dictionaries(slugs, texts, max_size=3),
    }
    needed = contract.REQUIRED.get(command)
    given_arguments = {
        {"for": "hours"}.get(name, name): draw(kinds[name])
        for name in contract.ARGUMENTS[command]
        if name == needed or command == "set" or draw(st.booleans())
    }
    transaction = draw(st.none() | texts.filter(bool))
    return Command(command, transaction, by=draw(texts), **given_arguments)


happenings = st.sampled_from(contract.EVENTS)
whens = st.integers(min_value=0, max_value=253402300799)
readings = st.dictionaries(slugs, numbers, max_size=5)
conditions = st.sampled_from(["", *contract.CONDITIONS])
entries = made(Entry, whens, slugs, happenings, texts, texts, readings, conditions)
transactions = texts.filter(bool)
messages = st.one_of(
    states(),
    commands(),
    made(
        Info,
        texts,
        texts,
        st.lists(slugs, max_size=3).map(tuple),
        st.dictionaries(slugs, made(Meter, texts, texts), max_size=3),
        *[texts] * 7,
        st.booleans(),
    ),
    made(Meters, counts, numbers, readings),
    made(
        Summary,
        counts,
        numbers,
        counts,
        counts,
        st.none() | slugs,
        st.none() | texts,
        moments,
        st.lists(texts, max_size=3).map(tuple),
        st.none() | texts,
        st.none() | jobs,
    ),
    made(Event, counts, numbers, slugs, happenings, *[texts] * 5),
    made(
        Result,
        transactions,
        slugs,
        counts,
        st.none(),
        st.just(""),
        st.lists(entries, max_size=3).map(tuple),
        st.dictionaries(
            slugs, st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple)
        ),
    ),
    made(
        Result, transactions, slugs, st.none(), st.sampled_from(contract.CODES), texts
    ),
)


@given(messages)
def test_every_message_is_the_same_after_encoding_and_decoding(message):
    assert type(message).decode(message.encode()) == message


KINDS = [State, Command, Info, Meters, Summary, Event, Result]
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.just("1e999"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_the_contracts_error(kind, payload):
    with contextlib.suppress(ContractError):
        kind.decode(payload)


@given(messages, st.data())
def test_a_message_with_one_wrong_field_is_read_or_refused(message, data):
    """Only ContractError is raised, whatever one field has or lacks."""
    fields = json.loads(message.encode())
    name = data.draw(st.sampled_from(sorted(fields)))
    if data.draw(st.booleans()):
        del fields[name]
    else:
        fields[name] = data.draw(junk)
    try:
        again = type(message).decode(json.dumps(fields).encode())
    except ContractError:
        return
    assert type(again).decode(again.encode()) == again


@pytest.mark.parametrize(
    "payload",
    [
        b'{"schema": 1, "seq": 1, "time": NaN, "meters": {}}',
        b'{"schema": 1, "seq": 1, "time": Infinity, "meters": {}}',
        b'{"schema": 1, "seq": 1, "time": 1e999, "meters": {}}',
        b'{"schema": 1, "seq": 1, "time": true, "meters": {}}',
        b'{"schema": 1, "seq": true, "time": 1, "meters": {}}',
        b'{"schema": 1, "seq": 1, "time": 1, "meters": {"a": false}}',
        b'{"schema": 1, "seq": 1, "time": 1' + b"0" * 400 + b', "meters": {}}',
        b"[" * 100_000,
        b" " * (contract.MAX_PAYLOAD + 1),
        b"\xff\xfe",
    ],
)
def test_a_number_that_is_not_finite_and_a_text_that_is_no_object_are_refused(payload):
    with pytest.raises(ContractError):
        Meters.decode(payload)


def test_a_history_is_the_same_after_encoding_and_decoding():
    points = {"print_time": ((1785600000.0, 10.5), (1785686400.0, 12.0))}
    result = Result("t1", "rods", seq=5, history=points)
    assert Result.decode(result.encode()) == result
    assert Command.decode(Command("log", "t1", history=True).encode()).history
    assert not Command.decode(b"log").history


@pytest.mark.parametrize(
    "history", [5, [], {"a": 5}, {"a": [5]}, {"a": [[1]]}, {"a": [[1, "x"]]}]
)
def test_a_history_that_is_no_list_of_points_is_refused(history):
    fields = json.loads(Result("t1", "rods", seq=5).encode())
    with pytest.raises(ContractError):
        Result.of({**fields, "history": history})


@pytest.mark.parametrize("log", [5, True, "done", {"time": 1}, [5], [[]]])
def test_a_log_that_is_no_list_of_entries_is_refused(log):
    fields = json.loads(Result("3f2a", "rods", seq=1).encode())
    with pytest.raises(ContractError):
        Result.of({**fields, "log": log})


def test_a_newer_schema_is_refused_and_an_unknown_field_is_not():
    fields = json.loads(RODS.encode())
    assert State.of({**fields, "colour": "blue"}) == RODS
    with pytest.raises(ContractError, match="schema 2 is newer than 1"):
        State.of({**fields, "schema": 2})


def test_a_bare_word_is_a_command():
    assert Command.decode(b" done\n") == Command("done")


def test_a_refused_command_still_has_its_transaction():
    with pytest.raises(ContractError, match="at least 0") as caught:
        Command.decode(b'{"command": "adjust", "used": -1, "transaction": "t"}')
    assert caught.value.transaction == "t"


@pytest.mark.parametrize(
    ("payload", "wording"),
    [
        (b'{"command": "explode"}', "one of done, skip"),
        (b'{"command": "adjust"}', "needs 'used'"),
        (b'{"command": "export"}', "needs 'to'"),
        (b'{"command": "export", "to": ""}', "needs 'to'"),
        (b'{"command": "set"}', "needs 'threshold' or 'warn_at'"),
        (b'{"command": "set", "threshold": 0}', "above 0"),
        (b'{"command": "done", "for": 3}', "takes no 'for'"),
        (b'{"command": "done", "at": "2026-01-01T00:00:00"}', "no UTC offset"),
        (b'{"command": "done", "at": "yesterday"}', "no ISO time"),
        (b'{"command": "done", "transaction": ""}', "1 to 64"),
        (b'{"command": "done", "note": "' + b"x" * 5000 + b'"}', "at most 4096 bytes"),
    ],
)
def test_a_wrong_command_is_refused_with_its_fault(payload, wording):
    with pytest.raises(ContractError, match=wording):
        Command.decode(payload)


@given(slugs, slugs, st.sampled_from(sorted(contract.KINDS)))
def test_a_topic_is_the_same_after_formatting_and_parsing(printer, task, kind):
    for topic in (
        Topic(printer, kind),
        Topic(printer, "task", task),
        Topic(printer, "command", task),
    ):
        assert Topic.parse("home/upkeep", topic.format("home/upkeep")) == topic


@given(texts)
def test_any_other_topic_is_refused(text):
    try:
        topic = Topic.parse("b", "b/" + text)
    except ContractError:
        return
    assert topic.format("b") == "b/" + text


@given(texts)
def test_any_name_becomes_a_slug_and_a_slug_stays_the_same(text):
    slug = contract.slug(text)
    assert contract.is_slug(slug)
    assert contract.slug(slug) == slug


def test_names_in_other_scripts_have_different_slugs():
    assert contract.slug("Сопло 1") != contract.slug("Ремень 1")
    assert contract.slug("Clean & oil") == "clean_oil"
    assert contract.slug("Überzug") == "uberzug"


@given(st.integers(min_value=0, max_value=253402300799))
def test_a_time_is_the_same_after_encoding_and_decoding(moment):
    assert contract.moment(contract.iso(moment)) == moment


def test_a_number_too_large_for_a_date_is_refused():
    with pytest.raises(ContractError):
        contract.moment("99999-01-01T00:00:00Z")
    assert math.isclose(contract.moment("2026-08-02T19:20:11+02:00"), 1785691211)


@pytest.mark.parametrize(
    "control", ["\n", "\x1b[2J", "\x00", "\x9b31m", "\x7f", "\r\n"]
)
def test_no_control_character_passes_a_decoder(control):
    """Control characters change terminals, and a line feed forges a line of a log."""
    wild = f"a{control}b"
    limit = Limit(wild, wild, 1.0, 0.0, 1.0, 0.0)
    state = State(1, 0.0, "t", wild, (limit,), wild, "ok", wild, wild, last_by=wild)
    meters = {wild: Meter(wild, wild)}
    info = Info(wild, wild, (), meters, model=wild, url=wild, area=wild)
    event = Event(1, 0.0, "t", "due", wild, wild, wild, wild, wild)
    entry = Entry(1, "t", "done", wild, wild, {wild: 1.0})
    refused = Result("t", "t", code="internal", text=wild)
    for message in (
        state, info, event, refused, Meters(1, 0.0, {wild: 1.0}),
        Result("t", "t", seq=1, log=(entry,)), Command("done", by=wild, note=wild),
    ):  # fmt: skip
        read = repr(type(message).decode(message.encode()))
        assert not re.search(r"\\(n|r|x[0189][0-9a-f]|x7f)", read), read


def test_a_transaction_is_the_same_after_decoding():
    command = Command.decode(b'{"command": "done", "transaction": "a\\nb"}')
    assert command.transaction == "a\nb"


def test_a_command_has_at_most_four_kilobytes():
    command = b"done".rjust(4096)
    assert Command.decode(command).command == "done"
    with pytest.raises(ContractError, match="at most 4096 bytes"):
        Command.decode(b" " + command)


def test_integers_texts_and_limits_have_a_maximum():
    """`done_count: 10**400` once made the bridge's metrics fail for the whole farm."""
    limits = [Limit(f"m{n}", "h", 1.0, 0.0, 1.0, 0.0) for n in range(33)]
    state = State(1, 0.0, "t", "x" * 9000, tuple(limits[:32]), "m0", "ok")
    assert len(State.decode(state.encode()).label) == contract.MAX_LONG
    for wrong in (
        state._replace(limits=tuple(limits)),
        state._replace(done_count=2**53 + 1),
        state._replace(seq=10**400),
    ):
        with pytest.raises(ContractError):
            State.decode(wrong.encode())
