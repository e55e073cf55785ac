// Parts with a name: shows the place and the use of each, and fits, removes and moves them.

import { useState } from "preact/hooks";
import { html } from "./html.js";
import { Bar } from "./bar.js";
import { codeOf, exportOf, partsOf, standing } from "./model.js";
import { meterName, quantity, t } from "./language.js";
import { usePrinter } from "./printers.js";

/** Send commands of one part, and keep the result of the last one. */
export function useCommand(source, printer, task) {
  const [outcome, setOutcome] = useState(null);
  const [waiting, setWaiting] = useState(false);
  const send = async (command, toPrinter = printer.slug) => {
    setWaiting(true);
    setOutcome(null);
    try {
      const answer = await source.command(toPrinter, task, command);
      setOutcome({ good: true, text: answer.text || t("carried_out") });
      return answer;
    } catch (error) {
      setOutcome({ good: false, text: error.message });
      return null;
    } finally {
      setWaiting(false);
    }
  };
  return { outcome, waiting, send };
}

export function Outcome({ outcome, waiting }) {
  return html`<p role="status" class=${outcome?.good ? "good" : "error"}>
    ${waiting ? t("waiting") : (outcome?.text ?? "")}
  </p>`;
}

/** The tab: the parts of one printer, fitted ones first. */
export function Parts({ state, source }) {
  const withParts = state.printers.filter((each) => partsOf(each).length);
  const { printer, choice } = usePrinter(withParts, source);
  if (!printer) return html`<p class="empty">${t("no_parts")}</p>`;
  return html`
    ${choice}
    <ul class="parts">
      ${partsOf(printer).map(
        (task) => html`<${Part}
          key=${`${printer.slug}/${task.task}`}
          task=${task}
          printer=${printer}
          source=${source}
        />`,
      )}
    </ul>
  `;
}

/** The address of a part's page, below the address of this page. */
const hashOf = (source, printer, task) =>
  source.fleet
    ? `#/task/${encodeURIComponent(printer.slug)}/${encodeURIComponent(task.task)}`
    : `#/task/${encodeURIComponent(task.task)}`;

function Part({ task, printer, source }) {
  const { outcome, waiting, send } = useCommand(source, printer, task.task);
  const status = standing(task);
  return html`
    <li class=${`part ${printer.online ? "" : "off"}`}>
      <div class="name">
        <h2><a href=${hashOf(source, printer, task)}>${task.label}</a></h2>
        <span class="muted">${task.kind} · ${task.place || t("shelf")}</span>
        ${task.place && html`<span class=${`badge ${status}`}>${t(`status.${status}`)}</span>`}
      </div>
      <div class="limits">
        ${task.limits.map(
          (limit) => html`<div key=${limit.meter}>
            <span>
              ${meterName(limit.meter)}:${" "}
              ${t("used_of", {
                used: quantity(limit.used, limit.unit, limit.meter),
                threshold: quantity(limit.threshold, limit.unit, limit.meter),
              })}
            </span>
            <${Bar}
              percent=${limit.percent}
              status=${limit.percent >= 100 ? "due" : status}
              label=${`${task.label}: ${meterName(limit.meter)}`}
            />
          </div>`,
        )}
      </div>
      ${!source.readOnly && html`<${PlaceChoice} task=${task} waiting=${waiting} send=${send} />`}
      <${Outcome} outcome=${outcome} waiting=${waiting} />
    </li>
  `;
}

/** Fits a part from the shelf, or takes a fitted part off. */
export function PlaceChoice({ task, waiting, send }) {
  if (task.place) {
    return html`<div class="place">
      <button disabled=${waiting} onClick=${() => send({ command: "remove" })}>
        ${t("part.remove")}
      </button>
    </div>`;
  }
  const fit = (event) => {
    event.preventDefault();
    send({ command: "fit", place: new FormData(event.target).get("place") });
  };
  return html`
    <form class="place" onSubmit=${fit}>
      <label>
        ${t("place")}
        <select name="place">
          ${task.places.map((each) => html`<option value=${each}>${each}</option>`)}
        </select>
      </label>
      <button disabled=${waiting}>${t("part.fit")}</button>
    </form>
  `;
}

/** In the opened part: export, import, and the QR code for its box. */
export function PartMoves({ row, source, printers }) {
  const { task, printer } = row;
  const { outcome, waiting, send } = useCommand(source, printer, task.task);
  const [line, setLine] = useState("");
  const others = printers.filter(
    (each) =>
      each.slug !== printer.slug && each.tasks.some((t) => t.task === task.task && t.kind),
  );
  const give = async (event) => {
    event.preventDefault();
    const to = new FormData(event.target).get("to").trim();
    const answer = await send({ command: "export", to });
    if (!answer?.part) return;
    setLine(`IMPORT_PART PART=${task.task} CODE=${codeOf(answer.part)}`);
    // The other printer may be off, so the line stays until that printer has the part.
    const there = others.some((each) => each.slug === to);
    if (there && (await send({ command: "import", part: answer.part }, to))) setLine("");
  };
  const take = (event) => {
    event.preventDefault();
    send({ command: "import", part: exportOf(new FormData(event.target).get("line")) });
  };
  return html`
    <section class="moves" aria-label=${t("part.moves")}>
      ${!source.readOnly &&
      html`<details>
        <summary>${t("part.moves")}</summary>
        <form onSubmit=${give}>
          <label>
            ${t("part.to")}
            <input name="to" list="printers-with-it" required maxlength="100" />
          </label>
          <datalist id="printers-with-it">
            ${others.map((each) => html`<option value=${each.slug}>${each.name}</option>`)}
          </datalist>
          <button disabled=${waiting}>${t("part.export")}</button>
        </form>
        <form onSubmit=${take}>
          <label>
            ${t("part.line")}
            <input name="line" required autocomplete="off" placeholder="IMPORT_PART …" />
          </label>
          <button disabled=${waiting}>${t("part.import")}</button>
        </form>
        <${Outcome} outcome=${outcome} waiting=${waiting} />
        ${line &&
        html`<p>${t("part.take_line")}</p>
          <textarea readonly rows="4" aria-label=${t("part.exported")}>${line}</textarea>`}
      </details>`}
      <${Code} source=${source} row=${row} />
    </section>
  `;
}

/** The QR code that opens this part's page. */
function Code({ source, row }) {
  const [code, setCode] = useState(null);
  const address = new URL(hashOf(source, row.printer, row.task), location.href).href;
  const opened = async (event) => {
    if (!event.target.open || code?.image) return;
    try {
      setCode(await source.code(address));
    } catch (error) {
      setCode({ problem: error.message });
    }
  };
  return html`
    <details onToggle=${opened}>
      <summary>${t("part.code")}</summary>
      ${code?.problem && html`<p class="error" role="alert">${code.problem}</p>`}
      ${code?.image &&
      html`<figure>
        <img
          class="code"
          alt=${t("part.code_of", { label: row.task.label })}
          src=${code.image}
        />
        <figcaption><code>${address}</code></figcaption>
      </figure>`}
    </details>
  `;
}
