// Which printer of several a view shows.

import { useState } from "preact/hooks";
import { html } from "./html.js";
import { t } from "./language.js";

/** Return the chosen printer (undefined if there is none) and the form that chooses it. */
export function usePrinter(printers, source) {
  const [slug, setSlug] = useState(printers[0]?.slug);
  const printer = printers.find((each) => each.slug === slug) || printers[0];
  const choice =
    source.fleet &&
    printer &&
    html`<form class="filter">
      <select
        aria-label=${t("printer")}
        value=${printer.slug}
        onChange=${(event) => setSlug(event.target.value)}
      >
        ${printers.map((each) => html`<option value=${each.slug}>${each.name}</option>`)}
      </select>
    </form>`;
  return { printer, choice };
}
