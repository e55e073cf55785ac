"""The MQTT contract: topics, payloads and error codes of Klipper Upkeep.

Pure, and the same file in the extra, the bridge and the integration.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple, Union

SCHEMA = 1
# Who makes a printer's entities in Home Assistant, where it is not MQTT discovery.
INTEGRATION = "integration"
BASE = "klipper_upkeep"
ONLINE, OFFLINE = b"online", b"offline"

OK, SOON, DUE, SNOOZED, DISABLED = "ok", "soon", "due", "snoozed", "disabled"
STATUSES = (OK, SOON, DUE, SNOOZED, DISABLED)
MATCHES = ("any", "all")
GOOD, WORN, BROKEN = "good", "worn", "broken"
CONDITIONS = (GOOD, WORN, BROKEN)  # in which something was when its task was done
EVENTS = (
    "soon",
    "due",
    "done",
    "skipped",
    "snoozed",
    "unsnoozed",
    "enabled",
    "disabled",
    "changed",
)

# Codes of a refused command; NO_ANSWER is made by the asker, never sent.
UNKNOWN_TASK = "unknown_task"
BAD_ARGUMENT = "bad_argument"
NOT_READY = "not_ready"
INTERNAL = "internal"
NO_ANSWER = "no_answer"
CODES = (UNKNOWN_TASK, BAD_ARGUMENT, NOT_READY, INTERNAL)

MAX_PAYLOAD = 1 << 20
MAX_COMMAND = 4096
MAX_TRANSACTION = 64
MAX_TEXT = 1000
MAX_LONG = 4000  # characters of a printer's text; what is longer is cut
MAX_LIMITS = 32  # of a task
MAX_COUNT = 1 << 53  # beyond it a double, which JSON's readers use, skips integers

# What a command takes beside `transaction` and `by`, and which it cannot do without.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "done": ("note", "at", "used", "condition"),
    "skip": ("note",),
    "snooze": ("for",),
    "unsnooze": (),
    "enable": (),
    "disable": (),
    "set": ("threshold", "warn_at"),
    "adjust": ("used",),
    "learn": (),
    "log": ("limit", "history", "every"),
    # Of parts alone:
    "fit": ("place", "note"),
    "remove": ("note",),
    "export": ("to",),
    "import": ("part",),
}
REQUIRED = {"export": "to", "import": "part", "snooze": "for", "adjust": "used"}

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
# C0, DEL and C1 steer terminals, and a line feed forges a line of a log. Halves of
# surrogate pairs cannot be sent: Klippy shuts the printer down if msgspec gets one.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

Amount = Union[float, Dict[str, float]]
Point = Tuple[float, float]  # UNIX seconds, and a counter's reading in its unit


class ContractError(ValueError):
    """A topic or payload that is not of this contract.

    ``transaction`` is that of a command which could be read so far: its
    sender waits for an answer.
    """

    def __init__(self, text: str, transaction: str | None = None) -> None:
        super().__init__(text)
        self.transaction = transaction


def is_slug(text: str) -> bool:
    return _SLUG.match(text) is not None


def clean(text: str) -> str:
    """Return *text* with a space for each run of control characters and surrogates."""
    return _CONTROL.sub(" ", text)[:MAX_LONG]


def slug(text: str) -> str:
    """Return *text* as a slug: 1 to 63 of ``a-z 0-9 _ -``.

    Where letters of another script are lost, a digest of the text keeps two
    names apart.
    """
    if is_slug(text):
        return text
    plain = unicodedata.normalize("NFKD", text).lower()
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    lost = any(c.isalnum() and not c.isascii() for c in kept)
    made = re.sub(r"[^a-z0-9-]+", "_", kept).strip("_-")
    if lost or not made or len(made) > 63:
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]
        made = "{}_{}".format(made[:56].rstrip("_-"), digest).strip("_")
    return made


class Topic(NamedTuple):
    """What a topic below the base is about; *task* only for a task's topics."""

    printer: str
    kind: str  # one of KINDS
    task: str | None = None

    @classmethod
    def parse(cls, base: str, topic: str) -> Topic:
        """Read ``<base>/<printer>/...``; ContractError for any other topic."""
        if not topic.startswith(base + "/"):
            raise ContractError(f"{topic[:200]!r} is not below {base!r}")
        levels = topic[len(base) + 1 :].split("/")
        kind, task = None, None
        if len(levels) == 2 and levels[1] in KINDS:
            kind = levels[1]
        elif len(levels) >= 3 and levels[1] == "tasks" and is_slug(levels[2]):
            task = levels[2]
            kind = {(): "task", ("command",): "command"}.get(tuple(levels[3:]))
        if kind is None or not is_slug(levels[0]):
            raise ContractError(f"{topic[:200]!r} is no topic of ours")
        return cls(levels[0], kind, task)

    def format(self, base: str) -> str:
        if self.task is None:
            return f"{base}/{self.printer}/{self.kind}"
        tail = "/command" if self.kind == "command" else ""
        return f"{base}/{self.printer}/tasks/{self.task}{tail}"


KINDS = frozenset(["availability", "info", "meters", "summary", "results", "events"])
RETAINED = frozenset(["availability", "info", "meters", "summary", "task"])


class Meter(NamedTuple):
    """How a meter is called and in which unit it reads: h, m, or "" for a count."""

    unit: str
    label: str


class Info(NamedTuple):
    """Who a printer is and what it has."""

    uuid: str
    name: str
    tasks: tuple[str, ...]
    meters: dict[str, Meter]
    model: str = ""
    software: str = "Klipper Upkeep"
    version: str = ""
    host: str = ""
    url: str = ""
    klipper_version: str = ""
    klipper_state: str = ""
    commands: bool = True  # whether commands are taken over MQTT
    home_assistant: str = ""  # INTEGRATION, or "" for discovery, and absent then
    area: str = ""  # where Home Assistant puts it at first; absent where ""

    def encode(self) -> bytes:
        fields = self._asdict()
        for name in ("home_assistant", "area"):
            if not fields[name]:
                del fields[name]
        fields["meters"] = {n: dict(m._asdict()) for n, m in self.meters.items()}
        return _dump(fields)

    @classmethod
    def decode(cls, payload: bytes) -> Info:
        return cls.of(parse(payload))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Info:
        _schema(fields)
        texts = ("model", "software", "version", "host", "url")
        return cls(
            uuid=_text(fields, "uuid"),
            name=_text(fields, "name"),
            tasks=tuple(_slug(each) for each in _list(fields, "tasks")),
            meters={
                clean(name): Meter(
                    _text(_dict(each), "unit"), _text(_dict(each), "label")
                )
                for name, each in _dict(fields.get("meters")).items()
            },
            klipper_version=_text(fields, "klipper_version", ""),
            klipper_state=_text(fields, "klipper_state", ""),
            commands=_flag(fields, "commands", default=True),
            home_assistant=_text(fields, "home_assistant", ""),
            area=_text(fields, "area", ""),
            **{name: _text(fields, name, "") for name in texts},
        )


class Meters(NamedTuple):
    """Every meter's reading, in its own unit, at *time* (UNIX seconds)."""

    seq: int
    time: float
    meters: dict[str, float]

    def encode(self) -> bytes:
        return _dump(self._asdict())

    @classmethod
    def decode(cls, payload: bytes) -> Meters:
        return cls.of(parse(payload))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Meters:
        _schema(fields)
        readings = _dict(fields.get("meters"))
        return cls(
            seq=_count(fields, "seq"),
            time=_number(fields, "time"),
            meters={clean(name): _number(readings, name) for name in readings},
        )


class Ahead(NamedTuple):
    """A task that the print that runs will make due."""

    task: str
    label: str
    meter: str  # of the limit that decides then
    after: float | None = None  # hours of printing from the print's start
    at: int | None = None  # UNIX seconds: a forecast
    about: bool = False  # whether it is taken from what prints needed lately

    @classmethod
    def of(cls, fields: Any) -> Ahead:
        ahead = _dict(fields)
        return cls(
            task=_slug(ahead.get("task")),
            label=_text(ahead, "label"),
            meter=_text(ahead, "meter"),
            after=_number_or_none(ahead, "after"),
            at=_moment(ahead, "at"),
            about=_flag(ahead, "about", default=False),
        )


class Job(NamedTuple):
    """The print that runs, or that has ended last, and what it makes due."""

    file: str
    started: int | None = None  # UNIX seconds
    hours: float | None = None  # as the slicer foresaw it
    metres: float | None = None
    ahead: tuple[Ahead, ...] = ()  # the first one first
    due: tuple[str, ...] = ()  # labels of what came due since it began
    ended: bool = False

    def fields(self) -> dict[str, Any]:
        ahead = [dict(each._asdict(), at=iso(each.at)) for each in self.ahead]
        return dict(self._asdict(), started=iso(self.started), ahead=ahead)

    @classmethod
    def of(cls, fields: Any) -> Job:
        job = _dict(fields)
        ahead = _list(job, "ahead") if "ahead" in job else []
        return cls(
            file=_text(job, "file"),
            started=_moment(job, "started"),
            hours=_number_or_none(job, "hours"),
            metres=_number_or_none(job, "metres"),
            ahead=tuple(map(Ahead.of, ahead)),
            due=_texts(job, "due"),
            ended=_flag(job, "ended", default=False),
        )


class Summary(NamedTuple):
    """How many tasks are due and soon, and which one comes next."""

    seq: int
    time: float
    due: int
    soon: int
    next_task: str | None
    next_label: str | None
    next_due_at: int | None  # UNIX seconds
    due_labels: tuple[str, ...] = ()  # the most overdue first
    problem: str | None = None  # what does not work on the printer as a whole
    job: Job | None = None  # where tasks look ahead

    def encode(self) -> bytes:
        fields = dict(self._asdict(), next_due_at=iso(self.next_due_at))
        del fields["job"]
        if self.job is not None:
            fields["job"] = self.job.fields()
        return _dump(fields)

    @classmethod
    def decode(cls, payload: bytes) -> Summary:
        return cls.of(parse(payload))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Summary:
        _schema(fields)
        task = fields.get("next_task")
        return cls(
            seq=_count(fields, "seq"),
            time=_number(fields, "time"),
            due=_count(fields, "due"),
            soon=_count(fields, "soon"),
            next_task=None if task is None else _slug(task),
            next_label=_text_or_none(fields, "next_label"),
            next_due_at=_moment(fields, "next_due_at"),
            due_labels=_texts(fields, "due_labels"),
            problem=_text_or_none(fields, "problem"),
            job=_or_none(fields, "job", Job.of),
        )


class Limit(NamedTuple):
    """A meter held against a threshold. Amounts are in *unit*."""

    meter: str
    unit: str
    threshold: float
    used: float
    remaining: float
    percent: float
    warn_at: float = 0.0

    @classmethod
    def of(cls, fields: Any) -> Limit:
        limit = _dict(fields)
        return cls(
            meter=_text(limit, "meter"),
            unit=_text(limit, "unit"),
            threshold=_number(limit, "threshold"),
            used=_number(limit, "used"),
            remaining=_number(limit, "remaining"),
            percent=_number(limit, "percent"),
            warn_at=_number(limit, "warn_at") if "warn_at" in limit else 0.0,
        )


class Habit(NamedTuple):
    """How much of a limit is used when its task is really done, in its unit."""

    meter: str
    times: int  # between how many completions
    shortest: float
    median: float
    longest: float
    late: float  # the median: 0.2 is a fifth later than due, below 0 it is earlier
    agree: bool  # whether the last three do

    @classmethod
    def of(cls, fields: Any) -> Habit:
        habit = _dict(fields)
        return cls(
            meter=_text(habit, "meter"),
            times=_count(habit, "times"),
            shortest=_number(habit, "shortest"),
            median=_number(habit, "median"),
            longest=_number(habit, "longest"),
            late=_number(habit, "late"),
            agree=_flag(habit, "agree"),
        )


class Suggestion(NamedTuple):
    """What a threshold should be instead; the command `learn` sets it."""

    meter: str
    threshold: float
    unit: str
    why: str  # "habit", "good" or "broken"
    text: str  # for a person

    @classmethod
    def of(cls, fields: Any) -> Suggestion:
        suggestion = _dict(fields)
        return cls(
            meter=_text(suggestion, "meter"),
            threshold=_number(suggestion, "threshold"),
            unit=_text(suggestion, "unit"),
            why=_text(suggestion, "why", ""),
            text=_text(suggestion, "text", ""),
        )


class State(NamedTuple):
    """What a task says of itself; moments are UNIX seconds."""

    seq: int  # grows with every message of the printer, never repeats
    time: float  # when the reading was taken
    task: str
    label: str
    limits: tuple[Limit, ...]
    trigger: str  # the meter of the limit that decides now
    status: str
    message: str = ""
    guide: str = ""
    parts: str = ""
    match: str = "any"
    enabled: bool = True
    snoozed_until: int | None = None
    last_done: int | None = None
    last_by: str = ""
    done_count: int = 0
    due_at: int | None = None  # a forecast
    problem: str | None = None  # why the task, or a part of it, is not counted
    # Where intervals learn, and absent elsewhere.
    due_from: int | None = None  # the forecast's span
    due_to: int | None = None
    habit: Habit | None = None
    suggestion: Suggestion | None = None
    kind: str = ""  # of a part that is fitted and taken off; "": a task
    place: str = ""  # where the part is fitted; "": on the shelf
    places: tuple[str, ...] = ()  # where it can be fitted

    @property
    def deciding(self) -> Limit:
        return next(each for each in self.limits if each.meter == self.trigger)

    def encode(self) -> bytes:
        fields = dict(self.deciding._asdict())
        del fields["meter"]
        fields.update(self._asdict())
        fields["limits"] = [dict(each._asdict()) for each in self.limits]
        for name in ("snoozed_until", "last_done", "due_at"):
            fields[name] = iso(fields[name])
        learnt: dict[str, Any] = {
            "due_from": iso(self.due_from),
            "due_to": iso(self.due_to),
        }
        for name in ("habit", "suggestion"):
            value = fields[name]
            learnt[name] = None if value is None else dict(value._asdict())
        for name, value in learnt.items():
            del fields[name]
            if value is not None:
                fields[name] = value
        if not self.kind:
            for name in ("kind", "place", "places"):
                del fields[name]
        return _dump(fields)

    @classmethod
    def decode(cls, payload: bytes) -> State:
        return cls.of(parse(payload))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> State:
        """Read a parsed payload; the flat numbers are those of ``limits``."""
        _schema(fields)
        if len(_list(fields, "limits")) > MAX_LIMITS:
            raise ContractError(f"more than {MAX_LIMITS} limits")
        limits = tuple(map(Limit.of, _list(fields, "limits")))
        return cls(
            seq=_count(fields, "seq"),
            time=_number(fields, "time"),
            task=_slug(fields.get("task")),
            label=_text(fields, "label"),
            limits=limits,
            trigger=_one_of(
                {"trigger": _text(fields, "trigger")},
                "trigger",
                tuple(each.meter for each in limits),
            ),
            status=_one_of(fields, "status", STATUSES),
            message=_text(fields, "message", ""),
            guide=_text(fields, "guide", ""),
            parts=_text(fields, "parts", ""),
            match=_one_of(fields, "match", MATCHES),
            enabled=_flag(fields, "enabled"),
            snoozed_until=_moment(fields, "snoozed_until"),
            last_done=_moment(fields, "last_done"),
            last_by=_text(fields, "last_by", ""),
            done_count=_count(fields, "done_count"),
            due_at=_moment(fields, "due_at"),
            problem=_text_or_none(fields, "problem"),
            due_from=_moment(fields, "due_from"),
            due_to=_moment(fields, "due_to"),
            habit=_or_none(fields, "habit", Habit.of),
            suggestion=_or_none(fields, "suggestion", Suggestion.of),
            kind=_text(fields, "kind", ""),
            place=_text(fields, "place", ""),
            places=_texts(fields, "places"),
        )


class Command(NamedTuple):
    """What somebody asks of a task. Amounts are in the unit of the task's limit."""

    command: str
    transaction: str | None = None
    by: str = ""
    note: str = ""
    at: int | None = None  # UNIX seconds
    used: Amount | None = None
    hours: float | None = None  # `for` on the wire
    threshold: Amount | None = None
    warn_at: Amount | None = None
    limit: int | None = None
    history: bool = False  # with `log`: the readings of 90 days, too
    every: bool = False  # with `log`: the entries of all tasks
    condition: str = ""  # with `done`: one of CONDITIONS
    place: str | None = None  # with `fit`
    to: str | None = None  # with `export`: the printer that gets the part
    part: Mapping[str, Any] | None = None  # with `import`: what `export` answered

    def encode(self) -> bytes:
        fields = {
            "for" if name == "hours" else name: value
            for name, value in self._asdict().items()
            if value is not None and value is not False and value != ""
        }
        if self.at is not None:
            fields["at"] = iso(self.at)
        return json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Command:
        """Read a JSON object, or one bare word for a command without arguments."""
        if len(payload) > MAX_COMMAND:
            raise ContractError(f"a command has at most {MAX_COMMAND} bytes")
        word = payload.strip().decode("utf-8", "replace")
        fields = {"command": word} if word in ARGUMENTS else parse(payload)
        transaction = _transaction(fields)
        try:
            return cls._of(fields, transaction)
        except ContractError as error:
            raise ContractError(str(error), transaction) from None

    @classmethod
    def _of(cls, fields: Mapping[str, Any], transaction: str | None) -> Command:
        command = _one_of(fields, "command", tuple(ARGUMENTS))
        takes = ARGUMENTS[command]
        for name in fields:
            if name in _ANY_ARGUMENT and name not in takes:
                raise ContractError(f"{command!r} takes no {name!r}")
        needs = REQUIRED.get(command)
        if needs is not None and fields.get(needs) in (None, ""):
            raise ContractError(f"{command!r} needs {needs!r}")
        if command == "set" and not any(name in fields for name in takes):
            raise ContractError("'set' needs 'threshold' or 'warn_at'")
        hours = _amount(fields, "for", above=0.0)
        if isinstance(hours, dict):
            raise ContractError("'for' is a number of hours")
        return cls(
            command=command,
            transaction=transaction,
            by=_text(fields, "by", "")[:MAX_TEXT],
            note=_text(fields, "note", "")[:MAX_TEXT],
            at=_moment(fields, "at"),
            used=_amount(fields, "used"),
            hours=hours,
            threshold=_amount(fields, "threshold", above=0.0),
            warn_at=_amount(fields, "warn_at", above=0.0),
            limit=_count(fields, "limit") if "limit" in fields else None,
            history=_flag(fields, "history", False),
            every=_flag(fields, "every", False),
            condition=_condition(fields),
            place=_text_or_none(fields, "place"),
            to=_text_or_none(fields, "to"),
            part=None if fields.get("part") is None else _dict(fields["part"]),
        )


_ANY_ARGUMENT = frozenset(name for names in ARGUMENTS.values() for name in names)


class Entry(NamedTuple):
    """A line of a task's log."""

    time: int  # UNIX seconds: when it was done, not when it was told
    task: str
    event: str
    by: str
    note: str
    used: dict[str, float]  # by meter, as it was before
    condition: str = ""  # of "done": one of CONDITIONS

    @classmethod
    def of(cls, fields: Any) -> Entry:
        entry = _dict(fields)
        used = _dict(entry.get("used"))
        moment = _moment(entry, "time")
        if moment is None:
            raise ContractError("'time' is missing")
        return cls(
            time=moment,
            task=_slug(entry.get("task")),
            event=_one_of(entry, "event", EVENTS),
            by=_text(entry, "by", ""),
            note=_text(entry, "note", ""),
            used={clean(name): _number(used, name) for name in used},
            condition=_condition(entry),
        )

    def fields(self) -> dict[str, Any]:
        fields = dict(self._asdict(), time=iso(self.time))
        if not self.condition:
            del fields["condition"]
        return fields


class Result(NamedTuple):
    """What became of a command: *seq* of the state that carries it, or an error."""

    transaction: str
    task: str
    seq: int | None = None
    code: str | None = None
    text: str = ""
    log: tuple[Entry, ...] = ()  # the answer to `log`, newest first
    history: Mapping[str, tuple[Point, ...]] = {}  # by limit, oldest first
    part: Mapping[str, Any] | None = None  # the answer to `export`

    @property
    def ok(self) -> bool:
        return self.code is None

    def encode(self) -> bytes:
        fields: dict[str, Any] = {
            "transaction": self.transaction,
            "task": self.task,
            "ok": self.ok,
        }
        if self.code is not None:
            fields["error"] = {"code": self.code, "text": self.text}
        else:
            fields["seq"] = self.seq
        if self.log:
            fields["log"] = [each.fields() for each in self.log]
        if self.history:
            fields["history"] = {n: list(each) for n, each in self.history.items()}
        if self.part is not None:
            fields["part"] = dict(self.part)
        return _dump(fields)

    @classmethod
    def decode(cls, payload: bytes) -> Result:
        return cls.of(parse(payload))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Result:
        _schema(fields)
        transaction = _transaction(fields)
        if transaction is None:
            raise ContractError("'transaction' is missing")
        task = _slug(fields.get("task"))
        log = [] if fields.get("log") is None else _list(fields, "log")
        if not _flag(fields, "ok"):
            error = _dict(fields.get("error"))
            code, text = _one_of(error, "code", CODES), _text(error, "text", "")
            return cls(transaction, task, code=code, text=text)
        return cls(
            transaction,
            task,
            seq=_count(fields, "seq"),
            log=tuple(map(Entry.of, log)),
            history=_history(fields),
            part=None if fields.get("part") is None else _dict(fields["part"]),
        )


class Event(NamedTuple):
    """Something that happened to a task; (*seq*, *task*, *event*) never repeats."""

    seq: int
    time: float
    task: str
    event: str
    label: str = ""
    message: str = ""
    guide: str = ""
    by: str = ""
    note: str = ""

    def encode(self) -> bytes:
        return _dump(self._asdict())

    @classmethod
    def decode(cls, payload: bytes) -> Event:
        return cls.of(parse(payload))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Event:
        _schema(fields)
        texts = ("label", "message", "guide", "by", "note")
        return cls(
            seq=_count(fields, "seq"),
            time=_number(fields, "time"),
            task=_slug(fields.get("task")),
            event=_one_of(fields, "event", EVENTS),
            **{name: _text(fields, name, "") for name in texts},
        )


def iso(moment: float | None) -> str | None:
    """UNIX seconds as ISO 8601 in UTC, to the second; None stays None."""
    if moment is None:
        return None
    text = datetime.fromtimestamp(int(moment), timezone.utc).isoformat()
    return text.replace("+00:00", "Z")


def moment(text: str) -> int:
    """ISO 8601 with an offset as UNIX seconds; ContractError for anything else."""
    try:
        # Python 3.7 reads no "Z".
        when = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
        if when.tzinfo is None:
            raise ContractError(f"{text[:40]!r} has no UTC offset")
        return math.floor(when.timestamp())
    except (ValueError, OverflowError) as error:
        if isinstance(error, ContractError):
            raise
        raise ContractError(f"{text[:40]!r} is no ISO time") from None


def parse(payload: bytes) -> dict[str, Any]:
    """Return the JSON object in *payload*; ContractError for anything else."""
    if len(payload) > MAX_PAYLOAD:
        raise ContractError(f"more than {MAX_PAYLOAD} bytes")
    try:
        fields = json.loads(payload.decode("utf-8"), parse_constant=_refuse)
    # A deeply nested text is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise ContractError(f"not JSON: {error}") from None
    return _dict(fields)


def _dump(fields: Mapping[str, Any]) -> bytes:
    full = dict({"schema": SCHEMA}, **fields)
    return json.dumps(full, allow_nan=False, ensure_ascii=False).encode()


def _refuse(constant: str) -> None:
    raise ContractError(f"{constant} is no number")


def _schema(fields: Mapping[str, Any]) -> None:
    version = _count(fields, "schema")
    if version > SCHEMA:
        raise ContractError(
            f"schema {version} is newer than {SCHEMA}: update this side"
        )


def _wrong(name: str, value: Any, wanted: str) -> ContractError:
    if value is None:
        return ContractError(f"{name!r} is missing")
    return ContractError(f"{name!r} is {value!r:.60}, not {wanted}")


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ContractError(f"{value!r:.60} is not an object")
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise _wrong(name, value, "a list")
    return value


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    return clean(_raw(fields, name, default))


def _raw(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text as it was sent: not for people, and not for logs."""
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, value, "text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
        raise _wrong(name, value, "text in UTF-8") from None
    return value


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = _list(fields, name) if name in fields else []
    return tuple(_text({name: each}, name) for each in values)


def _text_or_none(fields: Mapping[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _or_none(fields: Mapping[str, Any], name: str, of: Callable[[Any], Any]) -> Any:
    return None if fields.get(name) is None else of(fields[name])


def _number_or_none(fields: Mapping[str, Any], name: str) -> float | None:
    return None if fields.get(name) is None else _number(fields, name)


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not is_slug(value):
        raise _wrong("task", value, "a slug (a-z, 0-9, _, -)")
    return value


def _one_of(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(name, value, "one of " + ", ".join(allowed))
    return value


def _condition(fields: Mapping[str, Any]) -> str:
    if fields.get("condition") in (None, ""):
        return ""
    return _one_of(fields, "condition", CONDITIONS)


def _flag(fields: Mapping[str, Any], name: str, default: bool | None = None) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    # True is an int to Python, and 1e999 is a number to JSON.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(name, value, "a number")
    try:
        number = float(value)
    except OverflowError:
        raise _wrong(name, "huge", "a finite number") from None
    if not math.isfinite(number):
        raise _wrong(name, value, "a finite number")
    return number


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(name, value, "a whole number from 0 up")
    if value > MAX_COUNT:
        raise _wrong(name, "huge", "a whole number from 0 to 2^53")
    return value


def _history(fields: Mapping[str, Any]) -> dict[str, tuple[Point, ...]]:
    """Points by limit, in the order of their moments."""
    if fields.get("history") is None:
        return {}
    history = {}
    for name, points in _dict(fields["history"]).items():
        pairs = _list({"history": points}, "history")
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise _wrong("history", points, "pairs of a moment and a reading")
        history[clean(name)] = tuple(
            (_number({"time": when}, "time"), _number({"reading": reading}, "reading"))
            for when, reading in pairs
        )
    return history


def _amount(
    fields: Mapping[str, Any], name: str, above: float | None = None
) -> Amount | None:
    """A number, or an object of numbers by meter; at least 0, or above *above*."""
    value = fields.get(name)
    if value is None:
        return None
    amounts = value if isinstance(value, dict) else {name: value}
    numbers = {each: _number(amounts, each) for each in amounts}
    for each, number in numbers.items():
        if number < 0 or (above is not None and number <= above):
            raise _wrong(each, number, "above 0" if above is not None else "at least 0")
    return numbers if isinstance(value, dict) else numbers[name]


def _moment(fields: Mapping[str, Any], name: str) -> int | None:
    text = _text_or_none(fields, name)
    return None if text is None else moment(text)


def _transaction(fields: Mapping[str, Any]) -> str | None:
    # It goes back as it was sent, or its sender would not know it.
    text = None if fields.get("transaction") is None else _raw(fields, "transaction")
    if text is not None and not 0 < len(text) <= MAX_TRANSACTION:
        raise _wrong("transaction", text, "1 to 64 characters")
    return text
