// The log: what was done, by whom and when. It can be searched, and saved as a file.

import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";
import { csvOf, momentOf } from "./model.js";
import { meterName, moment, quantity, t, unitOf } from "./language.js";

const MOST = 500;

export function Log({ state, source }) {
  const [entries, setEntries] = useState(null);
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const done = state.printers.reduce(
    (sum, each) => sum + each.tasks.reduce((count, task) => count + task.done_count, 0),
    0,
  );
  useEffect(() => {
    let gone = false; // an answer may be overtaken by the next one
    source.log("", null, MOST).then(
      (log) => {
        if (gone) return;
        setEntries(log);
        setProblem("");
      },
      (error) => gone || setProblem(error.message),
    );
    return () => {
      gone = true;
    };
  }, [done]);
  const labels = labelsOf(state.printers);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (entries || []).filter((entry) => {
    const haystack = [
      labels.get(entry.task) || entry.task,
      entry.event,
      t(`event.${entry.event}`),
      entry.by,
      entry.note,
      entry.printer || "",
    ];
    return words.every((word) => haystack.join(" ").toLowerCase().includes(word));
  });
  return html`
    <form class="filter" role="search" onSubmit=${(event) => event.preventDefault()}>
      <input
        type="search"
        aria-label=${t("search_log")}
        placeholder=${t("search_log")}
        value=${text}
        onInput=${(event) => setText(event.target.value)}
      />
      <button type="button" onClick=${() => download(shown)} disabled=${!shown.length}>
        ${t("csv")}
      </button>
    </form>
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    ${entries && !shown.length && html`<p class="empty">${t("log_empty")}</p>`}
    <${Entries} entries=${shown} labels=${labels} />
  `;
}

export function Entries({ entries, labels = null, limits = [] }) {
  const units = Object.fromEntries(limits.map((limit) => [limit.meter, limit.unit]));
  return html`
    <ul class="log">
      ${entries.map(
        (entry) => html`<li key=${`${entry.time}${entry.task}${entry.event}`}>
          <time datetime=${entry.time}>${moment(momentOf(entry.time))}</time>
          <span>
            ${labels && html`<b>${labels.get(entry.task) || entry.task}</b> `}
            ${t(`event.${entry.event}`)}${entry.by ? ` · ${entry.by}` : ""}
            ${entry.printer ? html` <small>${entry.printer}</small>` : ""}
          </span>
          ${entry.note && html`<q>${entry.note}</q>`}
          <small class="muted">${used(entry, units)}</small>
        </li>`,
      )}
    </ul>
  `;
}

function used(entry, units) {
  return Object.entries(entry.used || {})
    .map(([meter, amount]) => {
      const unit = units[meter] ?? unitOf(meter);
      return `${meterName(meter)} ${quantity(amount, unit, meter)}`;
    })
    .join(", ");
}

function labelsOf(printers) {
  return new Map(printers.flatMap((each) => each.tasks.map((task) => [task.task, task.label])));
}

function download(entries) {
  const address = URL.createObjectURL(new Blob([csvOf(entries)], { type: "text/csv" }));
  const link = Object.assign(document.createElement("a"), {
    href: address,
    download: "maintenance.csv",
  });
  link.click();
  URL.revokeObjectURL(address);
}
