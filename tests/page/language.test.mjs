import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { beforeEach, test } from "node:test";

const PAGE = new URL("../../mqtt_bridge/web/page/", import.meta.url);
const { choose, number, t } = await import(new URL("language.js", PAGE));

/** Let the page fetch its files in a browser whose user prefers *languages*. */
function browser(...languages) {
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, configurable: true });
  define("navigator", { languages });
  define("document", { documentElement: {} });
  define("fetch", async (file) => ({
    json: async () => JSON.parse(await readFile(new URL(file, PAGE), "utf-8")),
  }));
}

beforeEach(() => browser("tlh", "de-AT", "en"));

test("the first language of the browser that the page has is used", async () => {
  await choose();
  assert.equal(t("view.tasks"), "Aufgaben");
  assert.equal(document.documentElement.lang, "de");
  await choose("en-GB");
  assert.equal(t("view.tasks"), "Tasks");
});

test("a noun has the form for its number", async () => {
  await choose("en");
  assert.equal(t("hours", { count: 1 }), "1 hour");
  assert.equal(t("days_long", { count: 2.5 }), "2.5 days");
  await choose("de");
  assert.equal(t("hours", { count: 1 }), "1 Stunde");
  assert.equal(t("days_long", { count: 2.5 }), "2,5 Tage");
  assert.equal(number(2.5), "2,5");
});
