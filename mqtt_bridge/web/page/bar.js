// A bar that shows how much of a limit is used; more than the limit is visible, too.

import { html } from "./html.js";
import { number, t } from "./language.js";

export function Bar({ percent, status, label }) {
  const width = Math.min(Math.max(percent, 0), 100);
  const over = percent > 100;
  return html`
    <div
      class=${`bar ${status}${over ? " over" : ""}`}
      role="meter"
      aria-label=${label}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${Math.round(width)}
      aria-valuetext=${t("percent", { percent: number(percent, 0) })}
    >
      <span style=${`width: ${width}%`}></span>
      <b>${t("percent", { percent: number(percent, 0) })}</b>
    </div>
  `;
}
