"""Klipper Upkeep in Moonraker: serves the maintenance page and announces due tasks.

`install.sh` links this file into Moonraker's components, and `[upkeep]` in
moonraker.conf loads it. The printer has the counts and carries the commands out; what
is stored here is how the tasks stood last, and which announcement belongs to which.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

import tornado.web

from ..common import APITransport, RequestType, WebRequest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "mqtt_bridge" / "web" / "page"
LANGUAGE = ROOT / "klippy_extra" / "language.py"  # a file that imports nothing of ours
WHERE = "/server/upkeep"
# The names of the page's files; everything else below WHERE is an endpoint.
FILES = (
    WHERE
    + r"/((?:[a-z0-9_-]+/)?[A-Za-z0-9_.-]+\.(?:html|js|mjs|css|json|svg|webmanifest)|)"
)
FEED = "maintenance-"  # then the task: two in one second would collide
LAST = "_last"  # in the database: the last status of the tasks; no task has this name
CHANGED = "upkeep:changed"  # clients get it as notify_upkeep_changed
SOON, QUIET = 0.2, 2.0  # seconds until a notification, and between two
# Fields that are settled: they do not change only because a count grows.
SETTLED = (
    "status", "enabled", "threshold", "snoozed_until", "done_count", "problem", "place",
)  # fmt: skip
NUMBERS = ("used", "remaining", "percent", "due_at")
NOBODY = ("", "_TRUSTED_USER_", "_API_KEY_USER_")
HOUR = 3600.0
MOST = 1000  # letters of an address in a QR code


class Subscriber(APITransport):
    """Subscribes to Klippy's objects, for this component only.

    Moonraker's components share one subscription otherwise. When a second component
    subscribes, Moonraker gives what changed meanwhile to that component only.
    """

    def __init__(self, pushed: Callable[[Mapping[str, Any]], None]) -> None:
        self._pushed = pushed

    def send_status(self, status: Mapping[str, Any], _eventtime: float) -> None:
        """Pass changes to the component."""
        self._pushed(status)


class Upkeep:
    """The component `[upkeep]`."""

    def __init__(self, config: Any) -> None:
        self._server = server = config.get_server()
        self._name = config.get("name", "")
        self._bell = config.getboolean("announcements", True)
        self._language = config.get("language", "")
        self._words = catalogue(self._language)
        self._klippy = server.lookup_component("klippy_connection")
        self._apis = server.lookup_component("klippy_apis")
        database = server.lookup_component("database")
        database.register_local_namespace("upkeep")
        self._database = database.wrap_namespace("upkeep")
        self._snapshot: dict[str, Any] = {"tasks": [], "meters": {}}
        self._statuses: dict[str, dict[str, Any]] = {}  # by task, what Klippy pushes
        self._slugs: dict[str, str] = {}  # of tasks, by Klippy's object
        self._ready = False
        self._stale = True  # whether the snapshot is older than a settled change
        self._untold = False  # whether clients must still be notified
        self._settled = False  # whether that notification is of a settled change
        self._notifying: asyncio.Task[None] | None = None
        self._ringing, self._refreshing = asyncio.Lock(), asyncio.Lock()
        for name, methods, handler in (
            ("status", RequestType.GET, self._answer_status),
            ("log", RequestType.GET, self._answer_log),
            ("history", RequestType.GET, self._answer_history),
            ("code", RequestType.GET, self._answer_code),
            ("command", RequestType.POST, self._answer_command),
        ):
            server.register_endpoint(f"{WHERE}/{name}", methods, handler)
        server.register_notification(CHANGED, "upkeep_changed")
        for event, listener in (
            ("server:klippy_ready", self._klippy_ready),
            ("server:klippy_shutdown", self._klippy_left),
            ("server:klippy_disconnect", self._klippy_left),
            ("announcements:dismissed", self._dismissed),
        ):
            server.register_event_handler(event, listener)
        router = server.lookup_component("application").mutable_router
        router.add_handler(f"{WHERE}/page.json", Source)
        router.add_handler(FILES, Files, {"path": str(PAGE)})
        router.add_handler(WHERE, tornado.web.RedirectHandler, {"url": f"{WHERE}/"})

    async def component_init(self) -> None:
        self._snapshot = await self._database.get(LAST, None) or self._snapshot
        self._speak()

    async def close(self) -> None:
        if self._notifying is not None:
            self._notifying.cancel()

    # Klippy

    async def _klippy_ready(self) -> None:
        names = await self._apis.get_object_list(default=[])
        wanted: dict[str, list[str] | None] = {n: None for n in names if is_task(n)}
        self._ready = "maintain" in names
        # Klippy pushes a field that was not there at first only if it is named.
        wanted["maintain"] = ["job"]
        self._statuses = {}
        if self._ready:
            status = await self._apis.subscribe_from_transport(
                wanted, Subscriber(self._pushed), {}
            )
            self._pushed(status)
        self._notify(settled=True)

    def _klippy_left(self) -> None:
        self._ready = False
        self._notify(settled=True)

    def _pushed(self, status: Mapping[str, Any]) -> None:
        """Take over the changes of the tasks' statuses."""
        changed = {n: each for n, each in status.items() if is_task(n)}
        if "job" in status.get("maintain", {}):
            self._notify(settled=True)  # another print, or other due tasks
        if not changed:
            return
        for name, fields in changed.items():
            self._slugs[name] = slug = fields.get("task") or self._slugs.get(name, "")
            self._statuses.setdefault(slug, {}).update(fields)
        self._notify(any(name in f for f in changed.values() for name in SETTLED))

    def _notify(self, settled: bool) -> None:
        """Notify the clients, at most once in QUIET seconds."""
        self._stale = self._stale or settled
        self._settled = self._settled or settled
        self._untold = True
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        """Notify the clients until they have all changes."""
        await asyncio.sleep(SOON)  # changes at the same time go into one notification
        while self._untold:
            settled, self._settled, self._untold = self._settled, False, False
            await self._refresh()
            try:
                if self._bell and self._ready:
                    await self._ring()
            except Exception:
                logging.exception("upkeep: the bell could not be rung")
            self._server.send_event(
                CHANGED,
                {
                    "ready": self._ready,
                    "settled": settled,
                    "tasks": self._statuses,
                },
            )
            await asyncio.sleep(QUIET)

    async def _refresh(self) -> None:
        """Request all tasks, if something settled has changed."""
        async with self._refreshing:  # further callers wait for the same answer
            if not (self._ready and self._stale):
                return
            self._stale = False
            try:
                self._snapshot = await self._ask("tasks")
                self._speak()
                await self._database.insert(LAST, self._snapshot)
            except self._server.error as error:
                self._stale = True
                logging.info("upkeep: Klippy did not list its tasks: %s", error)

    def _speak(self) -> None:
        """Use the language of the printer, unless `language` is set."""
        language = self._language or self._snapshot.get("language") or ""
        if language and language != self._words.code:
            self._words = catalogue(language)

    async def _ask(self, method: str, **arguments: Any) -> Any:
        return await self._klippy.request(WebRequest(f"maintain/{method}", arguments))

    # The page's requests

    async def _answer_status(self, _request: Any) -> dict[str, Any]:
        """The state of every task, or its last state before Klippy went away."""
        await self._refresh()
        return {
            "name": self._name or self._server.get_host_info()["hostname"],
            "ready": self._ready,
            "language": self._language,
            "spoken": self._words.code,
            "tasks": merged(self._snapshot["tasks"], self._statuses),
            "meters": self._snapshot["meters"],
            "job": self._snapshot.get("job"),
        }

    async def _answer_log(self, request: Any) -> Any:
        arguments: dict[str, Any] = {"limit": request.get_int("limit", 100)}
        task = request.get("task", None)
        if task is not None:
            arguments["task"] = task
        return await self._ask("log", **arguments)

    async def _answer_history(self, request: Any) -> Any:
        return await self._ask("history", task=request.get("task"))

    async def _answer_code(self, request: Any) -> dict[str, str]:
        """The QR code of an address, as a data URI."""
        address, tr = request.get_str("address"), self._words.tr
        if not address.startswith(("http://", "https://")) or len(address) > MOST:
            raise self._server.error(
                tr("A QR code needs an address that begins with http or https.")
            )
        try:
            import segno  # noqa: PLC0415 - Moonraker runs without it, too
        except ImportError:
            text = tr(
                "QR codes need the library segno in Moonraker's Python: {command}."
                " Then restart Moonraker.",
                command=f"{sys.executable} -m pip install segno",
            )
            raise self._server.error(text, 501) from None
        code = segno.make(address, micro=False)
        return {"image": code.svg_data_uri(scale=6, light="white")}

    async def _answer_command(self, request: Any) -> Any:
        """Carry out a command in the name of the user who is logged in."""
        command = request.get("command")
        if isinstance(command, str) and command.startswith("{"):
            command = json.loads(command)  # a form of an older client
        if isinstance(command, dict):
            user = name_of(request.get_current_user())
            command = dict(command, by=command.get("by") or user or "browser")
        return await self._ask("command", task=request.get("task"), command=command)

    # Announcements

    async def _ring(self) -> None:
        """Announce due tasks, and remove the announcements of all others."""
        async with self._ringing:
            due = {t: s for t, s in self._statuses.items() if s.get("status") == "due"}
            bell = self._server.lookup_component("announcements")
            known = await self._announced()
            standing = {e["entry_id"] for e in await bell.entry_mgr.list_entries()}
            for task, entry_id in known.items():
                if task not in due or entry_id not in standing:
                    await self._database.pop(task, None)
                    if entry_id in standing:
                        await bell.remove_announcement(entry_id)
            for task, status in due.items():
                if known.get(task) not in standing:
                    label = status.get("label") or task
                    entry = bell.add_internal_announcement(
                        self._words.tr("Maintenance is due: {label}", label=label),
                        described(status, self._words),
                        f"{WHERE}/#/task/{task}",
                        "normal",
                        FEED + task,
                    )
                    await self._database.insert(task, entry["entry_id"])

    async def _announced(self) -> dict[str, str]:
        """By task, its announcement."""
        return {
            task: each for task, each in await self._database.items() if task != LAST
        }

    async def _dismissed(self, event: Mapping[str, Any]) -> None:
        """Snooze the task if somebody snoozes its announcement."""
        entry_id = event["entry_id"]
        known = {each: task for task, each in (await self._announced()).items()}
        if entry_id not in known or not self._ready:
            return
        bell = self._server.lookup_component("announcements")
        entries = {e["entry_id"]: e for e in await bell.entry_mgr.list_entries()}
        entry = entries.get(entry_id, {})
        wake, since = entry.get("dismiss_wake"), entry.get("date_dismissed")
        if wake is None or since is None:
            return  # dismissed forever, which changes nothing about the task
        command = {"command": "snooze", "for": (wake - since) / HOUR, "by": "bell"}
        try:
            await self._ask("command", task=known[entry_id], command=command)
        except self._server.error as error:
            logging.info("upkeep: the printer refused to snooze: %s", error)


class Source(tornado.web.RequestHandler):
    """Answers the page's request for its server: Moonraker."""

    def get(self) -> None:
        self.write({"source": "moonraker"})


class Files(tornado.web.StaticFileHandler):
    """The page's files. They hold no data; their requests for data need a login."""

    def initialize(self, path: str) -> None:
        super().initialize(path, "index.html")

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002 - tornado's
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


def is_task(name: str) -> bool:
    return name.startswith(("maintain ", "maintain_part "))


def name_of(user: Any) -> str:
    """The name of a Moonraker user, or "" if the user has no name."""
    name = user.get("username") if isinstance(user, dict) else None
    name = str(name or getattr(user, "username", "") or "")
    return "" if name in NOBODY else name


def merged(
    tasks: Iterable[Mapping[str, Any]], statuses: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each task with the newest numbers of the limit that decides."""
    result = []
    for task in tasks:
        newest = statuses.get(task["task"], {})
        same = newest.get("trigger") == task.get("trigger")
        fresh = {n: newest[n] for n in NUMBERS if n in newest} if same else {}
        result.append(dict(task, **fresh))
    return result


def catalogue(name: str) -> Any:
    """Return the texts in the language *name*; a missing text is English."""
    spec = importlib.util.spec_from_file_location("upkeep_language", LANGUAGE)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    unspoken = module.current.use(name or module.ENGLISH)
    if unspoken:
        logging.warning("upkeep: %s", unspoken)
    return module.current.catalogue


def described(status: Mapping[str, Any], words: Any) -> str:
    """A sentence for an announcement."""
    unit = status.get("unit", "")
    used, threshold = (
        f"{words.number(float(status.get(name, 0.0)))} {unit}".rstrip()
        for name in ("used", "threshold")
    )
    text: str = words.tr(
        "{used} of {threshold} are used.", used=used, threshold=threshold
    )
    return text


def load_component(config: Any) -> Upkeep:
    return Upkeep(config)
