// Where the data comes from: one printer behind Moonraker, or a fleet behind the bridge.
//
// Both sources have the same methods. `start(listener)` calls `listener(printers,
// connected)` at each change. `command`, `log` and `history` return an answer, or throw
// an Error whose message is a sentence for the reader.

import { withNumbers } from "./model.js";
import { t } from "./language.js";

const RETRY = [500, 1000, 2000, 5000, 10000]; // milliseconds between two attempts

/** The server demands a login, and nobody is logged in. */
export class LoginNeeded extends Error {}

/** Find out which server serves this page, and return its source. */
export async function findSource() {
  const answer = await fetch("page.json", { cache: "no-store" }).catch(() => null);
  const type = answer?.headers.get("Content-Type") || "";
  const options = answer?.ok && type.includes("json") ? await answer.json() : {};
  return options.source === "bridge" ? new Bridge(options) : new Moonraker();
}

async function readAnswer(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body.result ?? body;
  if (answer.status === 401) throw new LoginNeeded(t("login.needed"));
  const message = body.error?.message ?? body.error ?? "";
  throw new Error(message || t("error.status", { status: answer.status }));
}

async function request(address, options) {
  let answer;
  try {
    answer = await fetch(address, { cache: "no-store", ...options });
  } catch {
    throw new Error(t("error.unreachable"));
  }
  return readAnswer(answer);
}

const delay = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/**
 * A function that calls `read` until it succeeds, or until somebody has to log in.
 *
 * Whoever calls it during a call makes it read once more: answers can overtake each
 * other, and the last one has to be the newest.
 */
function onceMore(read) {
  let wanted = false;
  let reading = false;
  return async () => {
    wanted = true;
    if (reading) return;
    reading = true;
    for (let attempt = 0; wanted; attempt += 1) {
      wanted = false;
      try {
        await read();
        attempt = 0;
      } catch (error) {
        if (error instanceof LoginNeeded) break;
        wanted = true;
        await delay(RETRY[Math.min(attempt, RETRY.length - 1)]);
      }
    }
    reading = false;
  };
}

/** One printer. Moonraker knows who is logged in, and sends changes at once. */
class Moonraker {
  constructor() {
    const path = location.pathname;
    this.root = path.slice(0, path.indexOf("/server/upkeep"));
    this.fleet = false;
    this.readOnly = false;
    this.readAgain = onceMore(() => this.refresh());
    this.tokens = JSON.parse(localStorage.getItem("upkeep-login") || "null");
  }

  async start(listener) {
    this.listener = listener;
    await this.refresh();
    this.listen();
  }

  async refresh() {
    const status = await this.ask("status");
    const { name, ready, tasks, meters, job, language } = status;
    this.language = language;
    this.printer = { slug: "printer", name, online: ready, tasks, meters, job };
    this.listener([this.printer], true);
  }

  /** Follow the notifications for as long as the page is open. */
  async listen() {
    for (let attempt = 0; ; attempt += 1) {
      const opened = await this.follow().catch(() => false);
      if (opened) attempt = 0;
      if (this.printer) this.listener([{ ...this.printer, online: false }], false);
      await delay(RETRY[Math.min(attempt, RETRY.length - 1)]);
    }
  }

  async follow() {
    const once = this.tokens ? await this.fetch("/access/oneshot_token") : "";
    const address = new URL(`${this.root}/websocket`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (once) address.searchParams.set("token", once);
    const socket = new WebSocket(address);
    return new Promise((resolve) => {
      let opened = false;
      socket.onopen = () => {
        opened = true;
        // No message tells of changes from before the socket was open.
        this.readAgain();
      };
      socket.onmessage = (event) => this.heard(JSON.parse(event.data));
      socket.onclose = () => resolve(opened);
    });
  }

  heard({ method, params }) {
    if (method === "notify_upkeep_changed") {
      const [{ settled, tasks }] = params;
      if (settled) this.readAgain();
      else if (this.printer) {
        this.printer = withNumbers(this.printer, tasks);
        this.listener([this.printer], true);
      }
    } else if (/^notify_klippy_/.test(method)) this.readAgain();
  }

  command(_printer, task, command) {
    return this.ask("command", { method: "POST", body: { task, command } });
  }

  async log(_printer, task, limit = 100) {
    const query = new URLSearchParams({ limit, ...(task ? { task } : {}) });
    return (await this.ask(`log?${query}`)).log;
  }

  /** The QR code of an address. */
  code(address) {
    return this.ask(`code?${new URLSearchParams({ address })}`);
  }

  async history(_printer, task) {
    return (await this.ask(`history?${new URLSearchParams({ task })}`)).limits;
  }

  ask(what, options) {
    return this.fetch(`/server/upkeep/${what}`, options);
  }

  /** Send a request to Moonraker; an expired login is renewed once. */
  async fetch(path, options = {}) {
    const ask = () => request(this.root + path, this.optionsFor(options));
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof LoginNeeded) || !this.tokens) throw error;
      await this.renew();
      return ask();
    }
  }

  optionsFor({ method = "GET", body }) {
    const headers = {};
    if (this.tokens) headers.Authorization = `Bearer ${this.tokens.token}`;
    if (body) headers["Content-Type"] = "application/json";
    return { method, headers, body: body && JSON.stringify(body) };
  }

  async renew() {
    const body = { refresh_token: this.tokens.refresh_token };
    const options = this.optionsFor({ method: "POST", body });
    delete options.headers.Authorization;
    try {
      this.keep(await request(`${this.root}/access/refresh_jwt`, options));
    } catch (error) {
      this.tokens = null;
      localStorage.removeItem("upkeep-login");
      throw new LoginNeeded(error.message);
    }
  }

  async login(username, password) {
    const body = { username, password };
    const options = this.optionsFor({ method: "POST", body });
    delete options.headers.Authorization;
    this.keep(await request(`${this.root}/access/login`, options));
  }

  keep({ token, refresh_token }) {
    this.tokens = { token, refresh_token: refresh_token ?? this.tokens?.refresh_token };
    localStorage.setItem("upkeep-login", JSON.stringify(this.tokens));
  }
}

/** A fleet. The bridge sends a whole printer whenever something of it changes. */
class Bridge {
  constructor({ read_only: readOnly = false, language = "" }) {
    this.fleet = true;
    this.readOnly = readOnly;
    this.language = language;
    this.printers = new Map();
    this.later = null; // changes that came while all was read
    this.readAgain = onceMore(() => this.refresh());
  }

  async start(listener) {
    this.listener = listener;
    await this.refresh();
    this.listen();
  }

  async refresh() {
    const later = (this.later = []);
    try {
      const { printers } = await this.ask("printers");
      this.printers = new Map(printers.map((each) => [each.slug, each]));
    } finally {
      this.later = null;
      // The answer may be older than these.
      for (const each of later) this.change(each);
    }
    this.tell(true);
  }

  change({ changed, gone }) {
    for (const each of changed) this.printers.set(each.slug, each);
    for (const slug of gone) this.printers.delete(slug);
  }

  tell(connected) {
    this.listener([...this.printers.values()], connected);
  }

  listen() {
    const events = new EventSource("api/events");
    // No message tells of changes from before the stream was open.
    events.onopen = () => this.readAgain();
    events.onmessage = (event) => {
      const change = JSON.parse(event.data);
      this.later?.push(change);
      this.change(change);
      this.tell(true);
    };
    events.onerror = () => {
      this.tell(false);
      if (events.readyState === EventSource.CLOSED) {
        setTimeout(() => this.listen(), RETRY[2]);
      }
    };
  }

  command(printer, task, command) {
    return this.ask("command", { printer, task, command });
  }

  async log(printer, task, limit = 100) {
    const query = new URLSearchParams({ limit });
    if (printer) query.set("printer", printer);
    if (task) query.set("task", task);
    return (await this.ask(`log?${query}`)).log;
  }

  /** The QR code of an address. */
  code(address) {
    return this.ask(`code?${new URLSearchParams({ address })}`);
  }

  async history(printer, task) {
    const query = new URLSearchParams({ printer, task });
    return (await this.ask(`history?${query}`)).limits;
  }

  ask(what, body) {
    if (!body) return request(`api/${what}`);
    const headers = { "Content-Type": "application/json" };
    return request(`api/${what}`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** The server answers with a cookie: the page does not keep the token. */
  login(_username, password) {
    return this.ask("login", { token: password });
  }
}
