// The page's core, without a browser: `node --test tests/page`.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as model from "../../mqtt_bridge/web/page/model.js";

const task = (fields) => ({
  task: "rails",
  label: "Rails",
  status: "ok",
  percent: 10,
  trigger: "print_time",
  limits: [{ meter: "print_time", used: 15, threshold: 150, percent: 10 }],
  ...fields,
});
const printer = (slug, ...tasks) => ({ slug, name: slug, online: true, tasks });
const DAY = 86400;

test("due tasks come first, then those due soon, then the most used", () => {
  const rows = model.rowsOf([
    printer(
      "a",
      task({ label: "half", percent: 50 }),
      task({ label: "snoozed", status: "snoozed", percent: 200 }),
      task({ label: "soon", status: "soon", percent: 90 }),
      task({ label: "empty", percent: 0 }),
    ),
    printer("b", task({ label: "due", status: "due", percent: 101 })),
  ]);
  const labels = rows.map((row) => row.task.label);
  assert.deepEqual(labels, ["due", "soon", "half", "empty", "snoozed"]);
});

test("a task that is not counted is not ok, and comes before those that are", () => {
  const rows = model.rowsOf([
    printer("a", task({ label: "ok" }), task({ label: "lost", problem: "no meter" })),
  ]);
  assert.deepEqual(rows.map((row) => row.task.label), ["lost", "ok"]);
  assert.equal(model.countsOf(rows).problem, 1);
  assert.equal(model.countsOf(rows).ok, 1);
  assert.equal(model.standing(task({ status: "due", problem: "no meter" })), "due");
});

test("every word of a search has to be in label, message, parts or printer", () => {
  const rows = model.rowsOf([
    printer("voron", task({ label: "Oil the rails", parts: "grease" })),
    printer("prusa", task({ label: "Oil the rods" })),
  ]);
  const found = (text) => model.filtered(rows, { text }).map((row) => row.printer.slug);
  assert.deepEqual(found("OIL"), ["voron", "prusa"]);
  assert.deepEqual(found("oil grease"), ["voron"]);
  assert.deepEqual(found("voron rods"), []);
});

test("a filter by status and printer applies both", () => {
  const rows = model.rowsOf([
    printer("a", task({ status: "due" }), task({ status: "ok" })),
    printer("b", task({ status: "due" })),
  ]);
  assert.equal(model.filtered(rows, { status: "due" }).length, 2);
  assert.equal(model.filtered(rows, { status: "due", printer: "b" }).length, 1);
});

test("newer numbers change only the deciding limit, and not the old object", () => {
  const old = printer("a", task({}));
  const newest = { rails: { trigger: "print_time", used: 30, remaining: 120, percent: 20 } };
  const fresh = model.withNumbers(old, newest);
  assert.equal(fresh.tasks[0].limits[0].used, 30);
  assert.equal(old.tasks[0].limits[0].used, 15);
  const other = { rails: { trigger: "time", used: 99 } };
  assert.equal(model.withNumbers(old, other).tasks[0], old.tasks[0]);
});

test("a plot of use falls to its start at each completion", () => {
  const points = [0, 1, 2, 3, 4].map((day) => [day * DAY, 100 + day * 10]);
  const log = [
    { event: "done", time: new Date(2 * DAY * 1000).toISOString() },
    { event: "snoozed", time: new Date(3 * DAY * 1000).toISOString() },
  ];
  const [moments, uses] = model.sawtooth(points, 20, log);
  // Before the first known completion it is unknown where counting began.
  assert.deepEqual(moments, [2 * DAY, 3 * DAY, 4 * DAY]);
  assert.deepEqual(uses, [0, 10, 20]);
});

test("between two completions the use grows from zero and has two points at the end", () => {
  const points = [0, 1, 2, 3, 4].map((day) => [day * DAY, day * 10]);
  const log = [1, 3].map((day) => ({ event: "done", time: day * DAY }));
  const [moments, uses] = model.sawtooth(points, 10, log);
  assert.deepEqual(moments, [1, 2, 3, 3, 4].map((day) => day * DAY));
  assert.deepEqual(uses, [0, 10, 20, 0, 10]);
});

test("a use without a completion grows from the beginning to the end", () => {
  const points = [
    [0, 5],
    [DAY, 8],
  ];
  assert.deepEqual(model.sawtooth(points, 3, []), [
    [0, DAY],
    [0, 3],
  ]);
  assert.deepEqual(model.sawtooth([], 3, []), [[], []]);
});

test("the forecast is a line from now to the threshold, for the deciding limit only", () => {
  const limit = { meter: "print_time", used: 15, threshold: 150 };
  assert.deepEqual(model.forecastLine(task({ due_at: 500 }), limit, 100), [
    [100, 15],
    [500, 150],
  ]);
  assert.deepEqual(model.forecastLine(task({ due_at: null }), limit, 100), []);
  assert.deepEqual(model.forecastLine(task({ due_at: 50 }), limit, 100), []);
  const other = { ...limit, meter: "time" };
  assert.deepEqual(model.forecastLine(task({ due_at: 500 }), other, 100), []);
});

test("days between completions are counted from one to the next", () => {
  const log = [
    { event: "done", time: 10 * DAY },
    { event: "skipped", time: 8 * DAY },
    { event: "done", time: 3 * DAY },
  ];
  assert.deepEqual(model.intervals(log), [{ at: 10 * DAY, days: 7 }]);
});

test("a note cannot become a formula or another column in a spreadsheet", () => {
  const entry = {
    time: "2026-11-26T10:00:00Z",
    task: "rails",
    event: "done",
    by: 'a "b", c',
    note: "=1+1",
    used: { print_time: 1.5 },
  };
  const [, line] = model.csvOf([entry]).split("\r\n");
  assert.equal(line, `2026-11-26T10:00:00Z,,rails,done,"a ""b"", c",'=1+1,print_time=1.5`);
});

test("only web addresses become links", () => {
  assert.equal(model.linkOf("https://example.org/#part"), "https://example.org/#part");
  assert.equal(model.linkOf("javascript:alert(1)"), null);
  assert.equal(model.linkOf("see the manual"), null);
});

test("only the visible part of a long list is drawn, with some more rows", () => {
  assert.deepEqual(model.windowOf(10000, 76, 76 * 500, 760), [492, 518]);
  assert.deepEqual(model.windowOf(3, 76, 0, 760), [0, 3]);
  assert.deepEqual(model.windowOf(0, 76, 0, 760), [0, 0]);
});

test("a print shows what it will make due, and what it made due", () => {
  const ahead = [
    { task: "rails", label: "Grease the rails", after: 9 },
    { task: "nozzle", label: "Nozzle", after: 12 },
  ];
  const job = { file: "part.gcode", ahead, due: ["Filter"], ended: false };
  assert.deepEqual(model.jobLines(job), [
    { key: "job.ahead_after", labels: "Grease the rails, Nozzle", hours: 9 },
    { key: "job.due", labels: "Filter", hours: 0 },
  ]);
  const [line] = model.jobLines({ ...job, ahead: [{ label: "Nozzle", after: null }] });
  assert.equal(line.key, "job.ahead");
  const ended = model.jobLines({ ...job, ended: true });
  assert.deepEqual(ended.map(({ key }) => key), ["job.due"]);
});

test("a print shows nothing if no task looks ahead", () => {
  assert.deepEqual(model.jobLines(undefined), []);
  assert.deepEqual(model.jobLines(null), []);
});

test("fitted parts come before those on the shelf, and tasks are no parts", () => {
  const part = (task, place, label = task) => ({ task, place, label, kind: "nozzle" });
  const tasks = [part("b", ""), part("a", ""), part("c", "extruder"), { task: "rods" }];
  assert.deepEqual(
    model.partsOf({ tasks }).map(({ task }) => task),
    ["c", "a", "b"],
  );
});

test("an exported part becomes a line of the console and can be read from it", () => {
  const part = { id: "7", part: "düse", used: { filament: 12.5 } };
  const code = model.codeOf(part);
  assert.match(code, /^[\w-]+$/);
  assert.deepEqual(model.exportOf(`IMPORT_PART PART=düse CODE=${code}`), part);
  assert.deepEqual(model.exportOf(` ${code} `), part);
  for (const nonsense of ["", "CODE=", "%%", "IMPORT_PART PART=x CODE=abc"]) {
    assert.deepEqual(model.exportOf(nonsense), {});
  }
});
