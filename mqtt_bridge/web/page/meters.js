// Every meter of a printer and its reading since counting began.

import { useState } from "preact/hooks";
import { html } from "./html.js";
import { meterName, number, t, unitOf } from "./language.js";

export function Meters({ state, source }) {
  const [slug, setSlug] = useState(state.printers[0]?.slug);
  const printer = state.printers.find((each) => each.slug === slug) || state.printers[0];
  if (!printer) return html`<p class="empty">${t("no_tasks")}</p>`;
  const meters = Object.entries(printer.meters || {}).sort(([a], [b]) =>
    meterName(a).localeCompare(meterName(b)),
  );
  return html`
    ${source.fleet &&
    html`<form class="filter">
      <select
        aria-label=${t("printer")}
        value=${printer.slug}
        onChange=${(event) => setSlug(event.target.value)}
      >
        ${state.printers.map((each) => html`<option value=${each.slug}>${each.name}</option>`)}
      </select>
    </form>`}
    <table>
      <thead>
        <tr>
          <th scope="col">${t("meter")}</th>
          <th scope="col" class="number">${t("reading")}</th>
        </tr>
      </thead>
      <tbody>
        ${meters.map(
          ([meter, reading]) => html`<tr key=${meter}>
            <th scope="row">${meterName(meter)} <code>${meter}</code></th>
            <td class="number">${number(reading)} ${unitOf(meter)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  `;
}
