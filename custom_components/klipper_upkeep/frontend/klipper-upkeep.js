// A strategy that builds a dashboard: `strategy: { type: custom:klipper-upkeep }`. Its
// card can also be used alone: `type: custom:klipper-upkeep-card`. With `device: <id>`
// the card shows one printer, otherwise all.
//
// The texts of a printer are always set as text, never as HTML.

const WORDS = {
  en: {
    title: "Printer maintenance", done: "Done", later: "Later", note: "Note",
    guide: "Guide", cancel: "Cancel", nothing: "Nothing to do.", off: "off",
    rest: (n) => `${n} more`, by: (who) => `by ${who}`,
    none: "No printer has announced itself yet.",
    printer: "Printer", every: "Leave it empty to show all printers.",
    ok: "ok", soon: "soon", due: "due", snoozed: "snoozed", disabled: "disabled",
  },
  de: {
    title: "Druckerwartung", done: "Erledigt", later: "Später", note: "Notiz",
    guide: "Anleitung", cancel: "Abbrechen", nothing: "Nichts zu tun.", off: "aus",
    rest: (n) => `${n} weitere`, by: (who) => `von ${who}`,
    none: "Noch hat sich kein Drucker gemeldet.",
    printer: "Drucker", every: "Bleibt es leer, zeigt die Karte alle Drucker.",
    ok: "in Ordnung", soon: "bald fällig", due: "fällig", snoozed: "verschoben",
    disabled: "abgeschaltet",
  },
};
const RANK = { due: 0, soon: 1, ok: 2, snoozed: 3, disabled: 4 };
const COLOR = {
  due: "var(--error-color)", soon: "var(--warning-color)", ok: "var(--success-color)",
};
const LATER = 24; // hours
const SHOWN = 120; // percent that the bar has room for

const words = (hass) => WORDS[(hass.language || "en").slice(0, 2)] || WORDS.en;

// A task may have a device of its own below the printer's device.
function printerOf(hass, entity) {
  return hass.devices[entity.device_id]?.parent_device_id || entity.device_id;
}

function tasksOf(hass, device) {
  return Object.values(hass.states)
    .filter((each) => {
      const about = each.attributes;
      const entity = hass.entities[each.entity_id];
      return (
        about.command_topic !== undefined && about.percent !== undefined && entity &&
        each.attributes.status in RANK && (!device || printerOf(hass, entity) === device)
      );
    })
    .sort(
      (a, b) =>
        RANK[a.attributes.status] - RANK[b.attributes.status] || b.attributes.percent - a.attributes.percent,
    );
}

function devicesOf(hass) {
  const printers = tasksOf(hass).map((each) =>
    printerOf(hass, hass.entities[each.entity_id]));
  const name = (id) => hass.devices[id]?.name_by_user || hass.devices[id]?.name || "";
  return [...new Set(printers)]
    .map((id) => ({ id, name: name(id) }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

function isOff(hass, device) {
  return Object.values(hass.entities).some((entity) => {
    const state = entity.device_id === device && hass.states[entity.entity_id];
    return state && state.attributes.device_class === "connectivity" && state.state === "off";
  });
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((each) => each !== null));
  return made;
}

const STYLE = `
  ha-card { padding: 12px 16px; }
  h2 { margin: 0 0 8px; font-size: 1.2em; font-weight: 500; }
  .off { color: var(--secondary-text-color); }
  .task { padding: 8px 0; border-top: 1px solid var(--divider-color); }
  .off .bar > div { background: var(--disabled-color) !important; }
  .line { display: flex; flex-wrap: wrap; gap: 8px; align-items: baseline;
    justify-content: flex-end; }
  .buttons { display: flex; gap: 8px; align-items: baseline; }
  .label { flex: 1; min-width: 0; overflow-wrap: anywhere; }
  .bar { position: relative; height: 8px; margin: 6px 0; border-radius: 4px;
    overflow: hidden; background: var(--divider-color); }
  .bar > div { height: 100%; border-radius: 4px; }
  .bar > span { position: absolute; top: 0; bottom: 0; width: 2px;
    left: ${(100 * 100) / SHOWN}%; background: var(--card-background-color); }
  .more { color: var(--secondary-text-color); font-size: 0.9em; flex: 1 1 auto; }
  button { border: 0; border-radius: 16px; padding: 6px 14px; font: inherit;
    cursor: pointer; color: var(--primary-color); background: var(--secondary-background-color); }
  button:disabled { cursor: default; color: var(--disabled-text-color); }
  input { flex: 1; min-width: 0; font: inherit; padding: 6px; color: inherit;
    background: var(--secondary-background-color); border: 0; border-radius: 4px; }
  summary { padding: 8px 0; cursor: pointer; color: var(--secondary-text-color); }
  a { color: var(--primary-color); }
`;

class KlipperUpkeepCard extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this._open = null; // the entity whose note is being written
    this._unfolded = new Set();
  }

  setConfig(config) {
    this._config = config;
  }

  set hass(hass) {
    this._hass = hass;
    const mine = tasksOf(hass, this._config.device);
    const key = JSON.stringify([
      hass.language,
      mine.map((each) => [each.entity_id, each.state, each.attributes]),
      devicesOf(hass).map((each) => [each, isOff(hass, each.id)]),
    ]);
    // The card is not drawn again while somebody writes a note in it.
    if (key === this._key || this._open !== null) return;
    this._key = key;
    this._draw();
  }

  // The form of the card's editor. A printer is a device that tells whether it is on.
  static getConfigForm() {
    const w = words({ language: document.documentElement.lang });
    const connection = { domain: "binary_sensor", device_class: "connectivity" };
    const entity = ["mqtt", "klipper_upkeep"].map((each) => (
      { integration: each, ...connection }
    ));
    return {
      schema: [{ name: "device", selector: { device: { entity } } }],
      computeLabel: () => w.printer,
      computeHelper: () => w.every,
    };
  }

  getCardSize() {
    return 4;
  }

  getGridOptions() {
    return { columns: 12, min_columns: 6, rows: "auto" };
  }

  _draw() {
    const hass = this._hass;
    const devices = devicesOf(hass).filter(
      (each) => !this._config.device || each.id === this._config.device,
    );
    const cards = devices.map((device) => this._printer(device));
    if (!cards.length) cards.push(element("ha-card", { textContent: words(hass).none }));
    this.shadowRoot.replaceChildren(element("style", { textContent: STYLE }), ...cards);
  }

  _printer({ id, name }) {
    const hass = this._hass, w = words(hass), off = isOff(hass, id);
    const tasks = tasksOf(hass, id);
    const due = tasks.filter((each) => RANK[each.attributes.status] < RANK.ok);
    const rest = tasks.filter((each) => RANK[each.attributes.status] >= RANK.ok);
    const folded = element("details", { open: this._unfolded.has(id) },
      element("summary", { textContent: w.rest(rest.length) }),
      ...rest.map((each) => this._task(each, off)));
    folded.addEventListener("toggle", () =>
      folded.open ? this._unfolded.add(id) : this._unfolded.delete(id));
    return element("ha-card", { className: off ? "off" : "" },
      element("h2", { textContent: off ? `${name} (${w.off})` : name }),
      due.length ? null : element("div", { className: "more", textContent: w.nothing }),
      ...due.map((each) => this._task(each, off)),
      rest.length ? folded : null);
  }

  _task(state, off) {
    const w = words(this._hass), about = state.attributes;
    const percent = Math.max(0, about.percent || 0);
    const fill = element("div");
    fill.style.width = `${(Math.min(percent, SHOWN) * 100) / SHOWN}%`;
    fill.style.background = COLOR[state.attributes.status] || "var(--disabled-color)";
    return element("div", { className: "task" },
      element("div", { className: "line" },
        element("span", { className: "label", textContent: about.label }),
        element("span", { textContent: `${Math.round(percent)} %` })),
      element("div", { className: "bar" }, fill, element("span")),
      this._open === state.entity_id ? this._ask(state) : this._buttons(state, off, w));
  }

  _buttons(state, off, w) {
    const about = state.attributes;
    const button = (text, press) =>
      element("button", { textContent: text, disabled: off, onclick: press });
    return element("div", { className: "line" },
      element("span", { className: "more" }, this._more(state, w)),
      element("span", { className: "buttons" },
        /^https?:/.test(about.guide || "")
          ? element("a", { href: about.guide, target: "_blank", rel: "noreferrer",
              textContent: w.guide })
          : null,
        button(w.later, () => this._send("snooze", state, { hours: LATER })),
        button(w.done, () => {
          this._open = state.entity_id;
          this._draw();
          this.shadowRoot.querySelector("input").focus();
        })));
  }

  _more(state, w) {
    const about = state.attributes;
    const parts = [w[state.attributes.status]];
    if (about.last_done) {
      const day = new Date(about.last_done).toLocaleDateString(this._hass.language);
      parts.push(`✓\u00a0${day}${about.last_by ? ` ${w.by(about.last_by)}` : ""}`);
    }
    return parts.join(" · ");
  }

  _ask(state) {
    const w = words(this._hass);
    const note = element("input", { placeholder: w.note, maxLength: 1000 });
    const close = () => {
      this._open = null;
      this._draw();
    };
    const send = () => {
      close();
      this._send("done", state, note.value ? { note: note.value } : {});
    };
    note.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send();
      if (event.key === "Escape") close();
    });
    return element("div", { className: "line" }, note,
      element("button", { textContent: w.cancel, onclick: close }),
      element("button", { textContent: w.done, onclick: send }));
  }

  // Home Assistant itself shows the error if the printer refuses.
  _send(action, state, data) {
    this._hass
      .callService("klipper_upkeep", action, { entity_id: [state.entity_id], ...data })
      .catch(() => {});
  }
}

class KlipperUpkeepDashboard extends HTMLElement {
  static async generate(config, hass) {
    // The printer with the most urgent task comes first, and stays there until the page
    // is loaded again: nothing moves below somebody's finger.
    const urgency = ({ id }) => RANK[tasksOf(hass, id)[0].attributes.status];
    const devices = devicesOf(hass).sort((a, b) => urgency(a) - urgency(b));
    const cards = devices.map(({ id }) => ({
      type: "custom:klipper-upkeep-card", device: id,
    }));
    if (!cards.length) cards.push({ type: "custom:klipper-upkeep-card" });
    return {
      title: words(hass).title,
      views: [{
        title: words(hass).title, path: "maintenance", icon: "mdi:wrench-clock",
        type: "sections", max_columns: 3,
        sections: cards.map((card) => ({ type: "grid", cards: [card] })),
      }],
    };
  }
}

window.customCards = window.customCards || [];
window.customCards.push({
  type: "klipper-upkeep-card",
  name: "Klipper Upkeep",
  description: "Maintenance of printers: what is due, with Done and Later",
});
window.customStrategies = window.customStrategies || [];
window.customStrategies.push({
  type: "klipper-upkeep",
  strategyType: "dashboard",
  name: "Klipper Upkeep",
  description: "A dashboard for the maintenance of all printers, made automatically",
});

// While it starts, Home Assistant 2025.4 replaces the browser's registry of elements.
// An element that is defined before that is lost.
customElements.whenDefined("home-assistant").then(() => {
  window.customElements.define("klipper-upkeep-card", KlipperUpkeepCard);
  window.customElements.define(
    "ll-strategy-dashboard-klipper-upkeep",
    KlipperUpkeepDashboard,
  );
});
