// Texts and numbers in the language of the reader.

export const LANGUAGES = ["en", "de"];
// Meters of which a printer has several: the part follows in the name.
const FAMILIES = [
  "travel_",
  "filament_",
  "extruded_",
  "heater_on_",
  "fan_on_",
  "homings_",
  "tool_changes_",
  "count_",
];
let texts = {};
let fallback = {};
let language = "en";

/** Load the catalogue of *wanted*, or of the browser's first language that we have. */
export async function choose(wanted) {
  const names = [wanted, ...navigator.languages].filter(Boolean);
  const short = names.map((name) => name.toLowerCase().split("-")[0]);
  language = short.find((name) => LANGUAGES.includes(name)) || "en";
  fallback = await load("en");
  texts = language === "en" ? fallback : await load(language);
  document.documentElement.lang = language;
}

async function load(name) {
  const answer = await fetch(`languages/${name}.json`);
  return (await answer.json()).page;
}

/** The text of *key*, with {names} replaced; {count} decides the plural form. */
export function t(key, values = {}) {
  let text = texts[key] ?? fallback[key] ?? key;
  if (typeof text !== "string") {
    text = text[new Intl.PluralRules(language).select(values.count)] ?? text.other;
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? number(value) : value;
  });
}

/** A number, rounded by its size. */
export function number(value, digits) {
  const size = Math.abs(value);
  const places = digits ?? (size >= 100 ? 0 : size >= 10 ? 1 : 2);
  const options = { maximumFractionDigits: places };
  return new Intl.NumberFormat(language, options).format(value);
}

/** An amount with its unit; many hours of the calendar are written as days. */
export function quantity(value, unit, meter = "") {
  if (unit === "h" && meter === "time" && Math.abs(value) >= 48) {
    return `${number(value / 24, Math.abs(value) >= 240 ? 0 : 1)} ${t("days")}`;
  }
  return unit ? `${number(value)} ${unit}` : number(value, 0);
}

export function day(seconds) {
  const options = { year: "numeric", month: "short", day: "numeric" };
  return new Date(seconds * 1000).toLocaleDateString(language, options);
}

export function moment(seconds) {
  const options = { dateStyle: "medium", timeStyle: "short" };
  return new Date(seconds * 1000).toLocaleString(language, options);
}

/** A moment on an axis whose marks are *step* seconds apart. */
export function mark(seconds, step) {
  const options =
    step >= 86400 ? { month: "short", day: "numeric" } : { hour: "numeric", minute: "2-digit" };
  return new Date(seconds * 1000).toLocaleString(language, options);
}

/** "in 3 days", "2 hours ago". */
export function relative(seconds, now = Date.now() / 1000) {
  const distance = seconds - now;
  const units = [
    ["year", 31557600],
    ["month", 2629800],
    ["week", 604800],
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ];
  const [unit, size] =
    units.find(([, each]) => Math.abs(distance) >= each) || units[units.length - 1];
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  return format.format(Math.round(distance / size), unit);
}

/** The name of a meter, for people: `travel_x` is "Travel of X". */
export function meterName(meter) {
  const exact = texts[`meter.${meter}`] ?? fallback[`meter.${meter}`];
  if (exact) return exact;
  for (const family of FAMILIES) {
    if (meter.startsWith(family)) {
      const name = meter.slice(family.length).replaceAll("_", " ");
      return t(`meter.${family}`, { name });
    }
  }
  return meter.replaceAll("_", " ");
}

const UNITS = [
  [/^(print_time|busy_time|power_on|time|heater_on_|fan_on_)/, "h"],
  [/^(filament|extruded|travel_)/, "m"],
];

/** The unit of a meter's readings; "" for plain counts. */
export function unitOf(meter) {
  return UNITS.find(([pattern]) => pattern.test(meter))?.[1] ?? "";
}
