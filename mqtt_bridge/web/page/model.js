// Computes what the page shows from the printers' data. Pure: no DOM, no network.

export const STATUSES = ["due", "soon", "problem", "ok", "snoozed", "disabled"];
const HOUR = 3600;
const DAY = 24 * HOUR;

/** The status of a task for a reader: a task that is not counted is not "ok". */
export function standing(task) {
  return task.problem && (task.status === "ok" || task.status === "soon")
    ? "problem"
    : task.status;
}

/** The key of a task among all printers. */
export const keyOf = (printer, task) => `${printer}/${task}`;

/** All tasks of all printers as rows, the most urgent ones first. */
export function rowsOf(printers) {
  const rows = [];
  for (const printer of printers) {
    for (const task of printer.tasks) {
      rows.push({ key: keyOf(printer.slug, task.task), printer, task });
    }
  }
  return rows.sort(byUrgency);
}

/** Sort in the order of STATUSES, then by percentage, then by name. */
export function byUrgency(one, other) {
  const rank = (row) => STATUSES.indexOf(standing(row.task));
  return (
    rank(one) - rank(other) ||
    other.task.percent - one.task.percent ||
    one.task.label.localeCompare(other.task.label)
  );
}

/** The rows that match the filter. An empty field matches everything. */
export function filtered(rows, { text = "", status = "", printer = "" }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (status && standing(row.task) !== status) return false;
    if (printer && row.printer.slug !== printer) return false;
    const { label, message = "", parts = "" } = row.task;
    const haystack = `${label} ${message} ${parts} ${row.printer.name}`.toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
}

/** How many tasks have each status. */
export function countsOf(rows) {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  for (const { task } of rows) counts[standing(task)] += 1;
  return counts;
}

/** The newest numbers of tasks, merged into a printer without changing it. */
export function withNumbers(printer, statuses) {
  const tasks = printer.tasks.map((task) => {
    const newest = statuses[task.task];
    if (!newest || newest.trigger !== task.trigger) return task;
    const { used, remaining, percent, due_at } = newest;
    const limits = (task.limits || []).map((limit) =>
      limit.meter === task.trigger ? { ...limit, used, remaining, percent } : limit,
    );
    return { ...task, used, remaining, percent, due_at: momentOf(due_at), limits };
  });
  return { ...printer, tasks };
}

/**
 * The messages about a print: a text's key, the labels, and the hours of printing
 * until the first task is due. There is none if no task looks ahead.
 */
export function jobLines(job) {
  if (!job) return [];
  const lines = [];
  const ahead = job.ahead || [];
  const after = ahead[0]?.after ?? null;
  if (ahead.length && !job.ended) {
    lines.push({
      key: after === null ? "job.ahead" : "job.ahead_after",
      labels: ahead.map((each) => each.label).join(", "),
      hours: after ?? 0,
    });
  }
  if (job.due?.length) {
    lines.push({ key: "job.due", labels: job.due.join(", "), hours: 0 });
  }
  return lines;
}

/** The parts of a printer: fitted parts by their places, then those on the shelf. */
export function partsOf(printer) {
  const parts = printer.tasks.filter((task) => task.kind);
  return parts.sort(
    (one, other) =>
      Number(!one.place) - Number(!other.place) ||
      (one.place || "").localeCompare(other.place || "") ||
      one.kind.localeCompare(other.kind) ||
      one.label.localeCompare(other.label),
  );
}

/** An exported part as the text that the console's IMPORT_PART takes as CODE=. */
export function codeOf(part) {
  const bytes = new TextEncoder().encode(JSON.stringify(part));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The part in a code, or in a whole line of IMPORT_PART; {} if there is none. */
export function exportOf(line) {
  const code = (/CODE=(\S+)/i.exec(line)?.[1] ?? line).trim();
  try {
    const text = atob(code.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const part = JSON.parse(new TextDecoder().decode(bytes));
    return part && typeof part === "object" && !Array.isArray(part) ? part : {};
  } catch {
    return {};
  }
}

/** UNIX seconds of an ISO time or of seconds; null stays null. */
export function momentOf(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "number" ? value : Date.parse(value) / 1000;
}

/**
 * The use of one limit over time as a saw-tooth, for the plot.
 *
 * *points* are pairs of UNIX seconds and the counter's reading, oldest first; *used*
 * is the use until now. *log* has the completions, in any order. The result is two
 * arrays: times, and the use at each time. A completion is there twice, with the use
 * before and after it.
 */
export function sawtooth(points, used, log) {
  if (!points.length) return [[], []];
  const events = log
    .filter((entry) => entry.event === "done" || entry.event === "skipped")
    .map((entry) => momentOf(entry.time))
    .sort((one, other) => one - other);
  const now = points[points.length - 1][0];
  const last = events.filter((moment) => moment <= now).pop();
  const moments = [];
  const uses = [];
  const put = (moment, use) => {
    moments.push(moment);
    uses.push(Math.max(0, use));
  };
  // Goes backwards from now: counting began at the present reading less the use.
  const present = points[points.length - 1][1] - used;
  const inside = events.filter((moment) => moment > points[0][0] && moment <= now);
  const starts = inside.map((moment) => readingAt(points, moment));
  const startFor = (moment) => {
    if (last === undefined || moment >= last) return present;
    const index = inside.findLastIndex((event) => event <= moment);
    return index < 0 ? null : starts[index];
  };
  const times = [...new Set([...points.map(([moment]) => moment), ...inside])];
  for (const moment of times.sort((one, other) => one - other)) {
    const reading = readingAt(points, moment);
    const isCompletion = inside.includes(moment);
    if (isCompletion) {
      const before = startFor(moment - 0.001);
      if (before !== null) put(moment, reading - before);
    }
    const start = startFor(moment);
    if (start !== null) put(moment, reading - start);
  }
  return [moments, uses];
}

/** The counter's reading at a time, interpolated between two points. */
export function readingAt(points, moment) {
  const after = points.findIndex(([when]) => when >= moment);
  if (after < 0) return points[points.length - 1][1];
  if (after === 0) return points[0][1];
  const [t0, r0] = points[after - 1];
  const [t1, r1] = points[after];
  return t1 > t0 ? r0 + ((moment - t0) / (t1 - t0)) * (r1 - r0) : r1;
}

/** The line from now to the forecast, as two points; empty if there is no forecast. */
export function forecastLine(task, limit, now) {
  const due = momentOf(task.due_at);
  if (due === null || due <= now || limit.meter !== task.trigger) return [];
  return [
    [now, limit.used],
    [due, limit.threshold],
  ];
}

/** Days between the completions of a task, newest first, from its log. */
export function intervals(log) {
  const moments = log
    .filter((entry) => entry.event === "done")
    .map((entry) => momentOf(entry.time))
    .sort((one, other) => other - one);
  return moments.slice(0, -1).map((moment, index) => ({
    at: moment,
    days: (moment - moments[index + 1]) / DAY,
  }));
}

/** The log as comma-separated values, for a spreadsheet. */
export function csvOf(entries) {
  const lines = [["time", "printer", "task", "event", "by", "note", "used"]];
  for (const entry of entries) {
    const used = Object.entries(entry.used || {});
    lines.push([
      entry.time,
      entry.printer || "",
      entry.task,
      entry.event,
      entry.by,
      entry.note,
      used.map(([meter, amount]) => `${meter}=${amount}`).join(" "),
    ]);
  }
  return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

// A spreadsheet would run a cell that begins like a formula.
function cell(value) {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The address if it may be a link (http or https), or null. */
export function linkOf(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** The visible rows of a long list: first and end, with some more on both sides. */
export function windowOf(count, height, top, visible, spare = 8) {
  const first = Math.max(0, Math.floor(top / height) - spare);
  const end = Math.min(count, Math.ceil((top + visible) / height) + spare);
  return [Math.min(first, count), Math.max(first, end)];
}
