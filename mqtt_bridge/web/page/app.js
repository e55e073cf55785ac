// The page: holds the data that it shows, and draws again when something changes.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";
import { choose, t } from "./language.js";
import { findSource, LoginNeeded } from "./sources.js";
import { countsOf, keyOf, partsOf, rowsOf } from "./model.js";
import { Tasks } from "./tasks.js";
import { TaskDialog } from "./task.js";
import { Log } from "./log.js";
import { Meters } from "./meters.js";
import { Parts } from "./parts.js";

const VIEWS = ["tasks", "parts", "log", "meters"];

let behind = "tasks"; // the view that a task was opened from

/** The view in the address: `#/log`, `#/task/rods`, `#/task/voron/rods`. */
function routeOf(hash) {
  const [view = "tasks", ...rest] = hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  const names = rest.map(decodeURIComponent);
  if (view === "task" && names.length) {
    const [printer, task] = names.length > 1 ? names : ["printer", names[0]];
    return { view: behind, open: keyOf(printer, task) };
  }
  behind = VIEWS.includes(view) ? view : "tasks";
  return { view: behind, open: null };
}

function useRoute() {
  const [route, setRoute] = useState(routeOf(location.hash));
  useEffect(() => {
    const changed = () => setRoute(routeOf(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

function App({ source }) {
  const [state, setState] = useState({ printers: null, connected: false });
  const [login, setLogin] = useState(false);
  const [problem, setProblem] = useState("");
  const { view, open } = useRoute();

  const start = async () => {
    try {
      await source.start((printers, connected) => setState({ printers, connected }));
      await choose(source.language);
      setLogin(false);
      setProblem("");
      setState((previous) => ({ ...previous }));
    } catch (error) {
      if (error instanceof LoginNeeded) setLogin(true);
      else {
        setProblem(error.message);
        setTimeout(start, 3000);
      }
    }
  };
  useEffect(() => {
    start();
  }, []);

  if (login) return html`<${Login} source=${source} then=${start} />`;
  if (!state.printers) {
    return html`<p class="empty" role="status">${problem || t("loading")}</p>`;
  }
  const rows = rowsOf(state.printers);
  // A page for one printer accepts the links of a fleet's page, too: it ignores the printer.
  const taskOf = (key) => key.split("/").pop();
  const isOpened = ({ key }) => (source.fleet ? key === open : taskOf(key) === taskOf(open));
  const opened = open && rows.find(isOpened);
  return html`
    <${Head} rows=${rows} view=${view} state=${state} source=${source} />
    ${view === "tasks" && html`<${Tasks} rows=${rows} state=${state} source=${source} />`}
    ${view === "parts" && html`<${Parts} state=${state} source=${source} />`}
    ${view === "log" && html`<${Log} state=${state} source=${source} />`}
    ${view === "meters" && html`<${Meters} state=${state} source=${source} />`}
    ${opened && html`<${TaskDialog}
      key=${open}
      row=${opened}
      source=${source}
      printers=${state.printers}
      back=${view}
    />`}
  `;
}

function Head({ rows, view, state, source }) {
  const counts = countsOf(rows);
  const some = state.printers.some((each) => partsOf(each).length);
  const views = VIEWS.filter((each) => each !== "parts" || some || view === each);
  const [only] = state.printers;
  const name = source.fleet ? t("fleet", { count: state.printers.length }) : only.name;
  document.title = (counts.due ? `(${counts.due}) ` : "") + t("title");
  return html`
    <header>
      <h1>${t("title")} <small>${name}</small></h1>
      <nav aria-label=${t("views")}>
        ${views.map(
          (each) => html`<a
            href=${`#/${each}`}
            aria-current=${each === view ? "page" : undefined}
            >${t(`view.${each}`)}</a
          >`,
        )}
      </nav>
    </header>
    <div role="status" class="notices">
      ${!state.connected && html`<p class="notice bad">${t("lost")}</p>`}
      ${state.connected &&
      !source.fleet &&
      !only.online &&
      html`<p class="notice">${t("offline")}</p>`}
      ${source.readOnly && html`<p class="notice">${t("read_only")}</p>`}
    </div>
  `;
}

function Login({ source, then }) {
  const [problem, setProblem] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    try {
      await source.login(fields.get("username"), fields.get("password"));
      await then();
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`
    <form class="login" onSubmit=${submit}>
      <h1>${t("title")}</h1>
      <p>${t(source.fleet ? "login.token" : "login.moonraker")}</p>
      ${!source.fleet &&
      html`<label>${t("login.name")} <input name="username" required autocomplete="username"
      /></label>`}
      <label>
        ${t(source.fleet ? "login.word" : "login.password")}
        <input name="password" type="password" required autocomplete="current-password" />
      </label>
      <button class="primary">${t("login.enter")}</button>
      <p role="alert" class="error">${problem}</p>
    </form>
  `;
}

await choose("");
render(html`<${App} source=${await findSource()} />`, document.getElementById("app"));
