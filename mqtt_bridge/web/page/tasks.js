// The list of tasks, overdue tasks first. Only the visible rows are drawn.

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { Bar } from "./bar.js";
import { countsOf, filtered, jobLines, momentOf, standing, STATUSES, windowOf } from "./model.js";
import { quantity, relative, t } from "./language.js";

// All rows have the same height in pixels, so that their positions can be computed.
const narrow = matchMedia("(max-width: 700px)");
const rowHeight = () => (narrow.matches ? 94 : 76);

export function Tasks({ rows, state, source }) {
  const [filter, setFilter] = useState({ text: "", status: "", printer: "" });
  const shown = filtered(rows, filter);
  const counts = countsOf(filtered(rows, { ...filter, status: "" }));
  const change = (fields) => setFilter({ ...filter, ...fields });
  return html`
    <form class="filter" role="search" onSubmit=${(event) => event.preventDefault()}>
      <input
        type="search"
        aria-label=${t("search")}
        placeholder=${t("search")}
        value=${filter.text}
        onInput=${(event) => change({ text: event.target.value })}
      />
      ${source.fleet && html`<${PrinterChoice} state=${state} filter=${filter} change=${change} />`}
      <fieldset>
        <legend class="hidden">${t("status")}</legend>
        ${["", ...STATUSES.filter((each) => each !== "problem" || counts.problem)].map(
          (status) => html`<button
            type="button"
            class=${`chip ${status}`}
            aria-pressed=${filter.status === status}
            onClick=${() => change({ status })}
          >
            ${status
              ? `${t(`status.${status}`)} ${counts[status]}`
              : t("all")}
          </button>`,
        )}
      </fieldset>
    </form>
    ${state.printers.map((each) => html`<${Job} key=${each.slug} printer=${each} />`)}
    ${shown.length
      ? html`<${Rows} rows=${shown} source=${source} />`
      : html`<p class="empty">${rows.length ? t("none_found") : t("no_tasks")}</p>`}
  `;
}

/** The tasks that the running print will make due, and that it or the last one did. */
function Job({ printer }) {
  const lines = jobLines(printer.job).map(({ key, labels, hours }) =>
    t(key, { file: printer.job.file, labels, hours: quantity(hours, "h") }),
  );
  return lines.map((line) => html`<p class="job" role="note">${line}</p>`);
}

function PrinterChoice({ state, filter, change }) {
  const printers = [...state.printers].sort((a, b) => a.name.localeCompare(b.name));
  return html`<select
    aria-label=${t("printer")}
    value=${filter.printer}
    onChange=${(event) => change({ printer: event.target.value })}
  >
    <option value="">${t("all_printers")}</option>
    ${printers.map((each) => html`<option value=${each.slug}>${each.name}</option>`)}
  </select>`;
}

function Rows({ rows, source }) {
  const list = useRef(null);
  const [range, setRange] = useState([0, 40]);
  const [height, setHeight] = useState(rowHeight());
  useEffect(() => {
    const moved = () => {
      const top = Math.max(0, -list.current.getBoundingClientRect().top);
      const next = windowOf(rows.length, rowHeight(), top, innerHeight);
      setHeight(rowHeight());
      setRange((last) => (last[0] === next[0] && last[1] === next[1] ? last : next));
    };
    moved();
    addEventListener("scroll", moved, { passive: true });
    addEventListener("resize", moved);
    return () => {
      removeEventListener("scroll", moved);
      removeEventListener("resize", moved);
    };
  }, [rows.length]);
  const [first, end] = range;
  return html`
    <ul class="tasks" ref=${list} style=${`height: ${rows.length * height}px`}>
      ${rows.slice(first, end).map(
        (row, index) => html`<${Row}
          key=${row.key}
          row=${row}
          source=${source}
          top=${(first + index) * height}
        />`,
      )}
    </ul>
  `;
}

function Row({ row, source, top }) {
  const { task, printer } = row;
  const status = standing(task);
  const address = source.fleet
    ? `#/task/${encodeURIComponent(printer.slug)}/${encodeURIComponent(task.task)}`
    : `#/task/${encodeURIComponent(task.task)}`;
  return html`
    <li class=${`task ${status}${printer.online ? "" : " off"}`} style=${`top: ${top}px`}>
      <a href=${address}>
        <span class="name">
          <strong>${task.label}</strong>
          ${source.fleet && html`<small>${printer.name}</small>`}
        </span>
        <span class=${`badge ${status}`}>${badge(task)}</span>
        <${Bar} percent=${task.percent} status=${status} label=${t("used")} />
        <span class="left" title=${task.problem || ""}>${remaining(task)}</span>
        <span class="when">${forecast(task)}</span>
      </a>
    </li>
  `;
}

/** The word for a task's status; a part on the shelf does not count as disabled. */
export function badge(task) {
  return task.kind && !task.place ? t("shelf") : t(`status.${standing(task)}`);
}

/** "12 h left", "3 h over", or the reason why this is not known. */
export function remaining(task) {
  if (task.problem) return task.problem;
  const amount = quantity(Math.abs(task.remaining), task.unit, task.trigger);
  return t(task.remaining < 0 ? "over" : "left", { amount });
}

function forecast(task) {
  if (task.status === "disabled") return "";
  if (task.status === "snoozed") {
    return t("until", { moment: relative(momentOf(task.snoozed_until)) });
  }
  const due = momentOf(task.due_at);
  return due === null || task.status === "due" ? "" : relative(due);
}
