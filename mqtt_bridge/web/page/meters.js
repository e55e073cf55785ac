// Every meter of a printer and its reading since counting began.

import { html } from "./html.js";
import { meterName, number, t, unitOf } from "./language.js";
import { usePrinter } from "./printers.js";

export function Meters({ state, source }) {
  const { printer, choice } = usePrinter(state.printers, source);
  if (!printer) return html`<p class="empty">${t("no_tasks")}</p>`;
  const meters = Object.entries(printer.meters || {}).sort(([a], [b]) =>
    meterName(a).localeCompare(meterName(b)),
  );
  return html`
    ${choice}
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
