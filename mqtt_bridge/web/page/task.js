// An opened task: what to do, its limits, its commands, and its past.

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { Bar } from "./bar.js";
import { Plot } from "./plot.js";
import { badge, remaining } from "./tasks.js";
import { Entries } from "./log.js";
import { Outcome, PartMoves, PlaceChoice, useCommand } from "./parts.js";
import { intervals, linkOf, momentOf, standing } from "./model.js";
import { day, meterName, moment, number, quantity, t } from "./language.js";

export function TaskDialog({ row, source, printers, back }) {
  const { task, printer } = row;
  const dialog = useRef(null);
  const [past, setPast] = useState({ log: [], history: {} });
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  useEffect(() => {
    let gone = false;
    const ask = async () => {
      const slug = printer.slug;
      const [log, history] = await Promise.all([
        source.log(slug, task.task).catch(() => []),
        source.history(slug, task.task).catch(() => ({})),
      ]);
      if (!gone) setPast({ log, history });
    };
    ask();
    return () => {
      gone = true;
    };
  }, [task.done_count, task.status, printer.online]);
  const close = () => {
    location.hash = `#/${back}`;
  };
  const outside = (event) => {
    if (event.target === dialog.current) close();
  };
  return html`
    <dialog ref=${dialog} onClose=${close} onClick=${outside} aria-labelledby="task-title">
      <article>
        <header>
          <h2 id="task-title" tabindex="-1" autofocus>${task.label}</h2>
          <span class=${`badge ${standing(task)}`}>${badge(task)}</span>
          <button class="close" aria-label=${t("close")} onClick=${close}>×</button>
        </header>
        ${source.fleet && html`<p class="where">${printer.name}</p>`}
        <p class=${task.problem ? "error" : "left"}>${remaining(task)}</p>
        <${Instructions} task=${task} />
        ${task.suggestion && html`<p class="suggestion">${task.suggestion.text}</p>`}
        ${!source.readOnly && html`<${Commands} row=${row} source=${source} />`}
        ${task.kind && html`<${PartMoves} row=${row} source=${source} printers=${printers} />`}
        <${Limits} row=${row} past=${past} />
        <${Past} task=${task} log=${past.log} />
      </article>
    </dialog>
  `;
}

function Instructions({ task }) {
  const link = task.guide ? linkOf(task.guide) : null;
  return html`
    ${task.message && html`<p class="message">${task.message}</p>`}
    ${task.parts && html`<p><b>${t("parts")}:</b> ${task.parts}</p>`}
    ${task.guide &&
    html`<p>
      ${link
        ? html`<a class="button" href=${link} target="_blank" rel="noopener noreferrer">${t("guide")}</a>`
        : task.guide}
    </p>`}
    ${task.last_done &&
    html`<p class="muted">
      ${t("last_done", { day: day(momentOf(task.last_done)), by: task.last_by || "–" })}
    </p>`}
  `;
}

/** Buttons and forms. After a press they show its result. */
function Commands({ row, source }) {
  const { task, printer } = row;
  const { outcome, waiting, send } = useCommand(source, printer, task.task);
  const [form, setForm] = useState("done");
  const forms = ["done", "later", "adjust", "threshold"];
  return html`
    <section class="commands" aria-label=${t("commands")}>
      <div class="tabs" role="group">
        ${forms.map(
          (each) => html`<button
            aria-pressed=${form === each}
            onClick=${() => setForm(each)}
          >
            ${t(`form.${each}`)}
          </button>`,
        )}
        ${task.suggestion &&
        html`<button disabled=${waiting} onClick=${() => send({ command: "learn" })}>
          ${t("learn")}
        </button>`}
        <button disabled=${waiting} onClick=${() => send({ command: "skip" })}>
          ${t("skip")}
        </button>
        <button
          disabled=${waiting}
          onClick=${() => send({ command: task.enabled ? "disable" : "enable" })}
        >
          ${t(task.enabled ? "disable" : "enable")}
        </button>
      </div>
      ${task.kind && html`<${PlaceChoice} send=${send} waiting=${waiting} task=${task} />`}
      ${form === "done" && html`<${DoneForm} send=${send} waiting=${waiting} task=${task} />`}
      ${form === "later" && html`<${LaterForm} send=${send} waiting=${waiting} task=${task} />`}
      ${form === "adjust" &&
      html`<${AmountForm} send=${send} waiting=${waiting} task=${task} field="used" />`}
      ${form === "threshold" &&
      html`<${AmountForm} send=${send} waiting=${waiting} task=${task} field="threshold" />`}
      <${Outcome} outcome=${outcome} waiting=${waiting} />
    </section>
  `;
}

function DoneForm({ send, waiting, task }) {
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const command = { command: "done" };
    if (fields.get("note")) command.note = fields.get("note");
    if (fields.get("condition")) command.condition = fields.get("condition");
    if (fields.get("by")) command.by = fields.get("by");
    if (fields.get("at")) command.at = new Date(fields.get("at")).toISOString();
    const used = amountsOf(fields, task.limits);
    if (used !== null) command.used = used;
    localStorage.setItem("upkeep-by", fields.get("by"));
    send(command);
    event.target.reset();
  };
  return html`
    <form onSubmit=${submit}>
      <label>${t("note")} <input name="note" maxlength="1000" /></label>
      <details>
        <summary>${t("more")}</summary>
        <label>
          ${t("by")}
          <input name="by" maxlength="100" value=${localStorage.getItem("upkeep-by") || ""} />
        </label>
        <label>
          ${t("condition")}
          <select name="condition">
            ${["", "good", "worn", "broken"].map(
              (each) =>
                html`<option value=${each}>${each ? t(`condition.${each}`) : "–"}</option>`,
            )}
          </select>
        </label>
        <label>${t("at")} <input name="at" type="datetime-local" /></label>
        <p class="muted">${t("used_with")}</p>
        <${AmountInputs} limits=${task.limits} />
      </details>
      <button class="primary" disabled=${waiting}>${t("done")}</button>
    </form>
  `;
}

function LaterForm({ send, waiting, task }) {
  const hours = [8, 24, 72, 168];
  return html`
    <div class="choices">
      ${hours.map(
        (each) => html`<button
          disabled=${waiting}
          onClick=${() => send({ command: "snooze", for: each })}
        >
          ${each < 48 ? t("hours", { count: each }) : t("days_long", { count: each / 24 })}
        </button>`,
      )}
      ${task.status === "snoozed" &&
      html`<button disabled=${waiting} onClick=${() => send({ command: "unsnooze" })}>
        ${t("unsnooze")}
      </button>`}
    </div>
  `;
}

/** Numbers for `adjust` (the use until now) or `set` (the threshold). */
function AmountForm({ send, waiting, task, field }) {
  const submit = (event) => {
    event.preventDefault();
    const amounts = amountsOf(new FormData(event.target), task.limits);
    if (amounts === null) return;
    send(
      field === "used"
        ? { command: "adjust", used: amounts }
        : { command: "set", threshold: amounts },
    );
  };
  return html`
    <form onSubmit=${submit}>
      <${AmountInputs} limits=${task.limits} field=${field} />
      <button class="primary" disabled=${waiting}>${t("set")}</button>
    </form>
  `;
}

function AmountInputs({ limits, field = null }) {
  return limits.map(
    (limit) => html`<label key=${limit.meter}>
      ${meterName(limit.meter)}${limit.unit ? ` (${limit.unit})` : ""}
      <input
        name=${`amount:${limit.meter}`}
        type="number"
        min="0"
        step="any"
        placeholder=${field ? number(limit[field]) : "0"}
      />
    </label>`,
  );
}

/** The typed numbers by meter; null if nothing was typed. */
function amountsOf(fields, limits) {
  const typed = limits
    .map((limit) => [limit.meter, fields.get(`amount:${limit.meter}`)])
    .filter(([, text]) => text);
  const amounts = typed.map(([meter, text]) => [meter, Number(text)]);
  return amounts.length ? Object.fromEntries(amounts) : null;
}

function Limits({ row, past }) {
  const { task } = row;
  return html`
    <section aria-label=${t("limits")}>
      ${task.limits.map(
        (limit) => html`<div class="limit" key=${limit.meter}>
          <h3>${meterName(limit.meter)}</h3>
          <p class="muted">
            ${t("used_of", {
              used: quantity(limit.used, limit.unit, limit.meter),
              threshold: quantity(limit.threshold, limit.unit, limit.meter),
            })}
          </p>
          <${Bar}
            percent=${limit.percent}
            status=${limit.percent >= 100 ? "due" : task.status === "due" ? "soon" : task.status}
            label=${meterName(limit.meter)}
          />
          <${Plot}
            task=${task}
            limit=${limit}
            points=${past.history[limit.meter] || []}
            log=${past.log}
          />
        </div>`,
      )}
    </section>
  `;
}

function Past({ task, log }) {
  const between = intervals(log);
  const mine = log.filter((entry) => entry.task === task.task);
  return html`
    ${between.length > 0 &&
    html`<section>
      <h3>${t("between")}</h3>
      <ol class="between">
        ${between.slice(0, 8).map(
          (each) => html`<li>
            <b>${t("days_long", { count: Number(each.days.toFixed(each.days < 10 ? 1 : 0)) })}</b>
            <span class="muted">${t("up_to", { day: moment(each.at) })}</span>
          </li>`,
        )}
      </ol>
    </section>`}
    ${mine.length > 0 &&
    html`<section>
      <h3>${t("view.log")}</h3>
      <${Entries} entries=${mine.slice(0, 20)} limits=${task.limits} />
    </section>`}
  `;
}
