"""The page with a thousand printers: its first rows, and a change until it is shown.

There are two floors. One is a page of the same server that reads the same list and
shows its length. The other follows the same stream and waits for the next frame.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from benchmarks.bridge_rig import Rig, state
from benchmarks.table import Row, at_most
from mqtt_bridge import contract
from tests.fakes.chromium import Tab

_PRINTERS, _TASKS = 1000, 10
_STARTS, _CHANGES = 5, 20
_PAUSE = 2.5  # seconds; this is longer than the server waits between two messages

# The result is the milliseconds from the start of the page to the first frame with a
# row.
_PAINTED = """
new Promise((done) => {
  const check = () => document.querySelector(".task")
    ? requestAnimationFrame(() => done(performance.now()))
    : setTimeout(check, 5);
  check();
})
"""
_BARE = """
(async () => {
  const begin = performance.now();
  const body = await (await fetch("api/printers")).json();
  document.body.textContent = body.printers.length;
  await new Promise(requestAnimationFrame);
  return performance.now() - begin;
})()
"""
# This script notes when the screen shows another text at the top of the list.
_WATCH = """
(() => {
  globalThis.seen = [];
  let last = "";
  const check = () => {
    const text = document.querySelector(".task b")?.innerText ?? "";
    if (text !== last) seen.push([text, Date.now()]);
    last = text;
    requestAnimationFrame(check);
  };
  check();
  globalThis.bare = [];
  new EventSource("api/events").onmessage = () =>
    requestAnimationFrame(() => bare.push(Date.now()));
})()
"""


def run() -> Iterator[Row]:
    with Rig() as rig, Tab() as tab:
        rig.retain(_PRINTERS, _TASKS)
        rig.bridge(page=True)
        tab.resize(1400, 900)
        yield _paint(rig, tab)
        yield from _changes(rig, tab)


def _paint(rig: Rig, tab: Tab) -> Row:
    address = f"http://127.0.0.1:{rig.web}/"
    bare, full = [], []
    for _ in range(_STARTS):
        tab.open(address + "page.json")
        bare.append(tab.run(f"{_BARE}"))
        tab.open("about:blank")
        tab.open(address)
        full.append(tab.run(_PAINTED))
    floor, ours = statistics.median(bare), statistics.median(full)
    text = f"{ours:.0f} ms, a page that only counts {floor:.0f} ms"
    measure = f"page: {_PRINTERS} printers x {_TASKS}, first rows"
    return at_most(measure, text, ours / floor, 4.0)


def _changes(rig: Rig, tab: Tab) -> Iterator[Row]:
    tab.run(_WATCH)
    sent = {}
    topic = f"{contract.BASE}/p500/tasks/t5"
    for number in range(_CHANGES):
        used = 150.0 + 1.5 * number  # one percent of 150 h more each time
        payload = state("t5", 100 + number, used)._replace(status="due").encode()
        percent = f"{round(used / 1.5)} %"
        sent[percent] = time.time()
        rig.publisher.send([rig.publisher.packet(topic, payload, retain=True)])
        time.sleep(_PAUSE)
    shown, bare = dict(tab.run("seen")), tab.run("bare")
    screen = [shown[text] / 1000 - at for text, at in sent.items() if text in shown]
    heard = [
        min(each for each in bare if each > at * 1000) / 1000 - at
        for at in sent.values()
    ]
    ours, floor = statistics.median(screen), statistics.median(heard)
    text = f"p50 {ours * 1000:.0f} ms, a page that only listens {floor * 1000:.0f} ms"
    yield at_most("page: a change on the screen", text, ours / floor, 3.0)
    lost = _CHANGES - len(screen)
    yield Row("page: changes that were not shown", str(lost), None, "0", lost == 0)
