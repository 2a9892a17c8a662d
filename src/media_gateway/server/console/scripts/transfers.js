// How far a transfer is: its steps as the page sees them give the rate and the time that is left.
import { ask } from "./api.js";
import { h, spaced, svg } from "./dom.js";

const WINDOW = 30;
const STALLED = 15;
const NONE = "None in the last day. Transfers with --resumable are shown here.";

const shown = h("div", { class: "board" }, h("p", { class: "soft" }, NONE));
let journal = null;
let steps = [];

export function startTransfers() {
  return h("section", { class: "panel board two", "aria-label": "Transfers" }, h("h2", {}, "Transfers"), shown);
}

export async function refreshTransfers() {
  const found = (await ask("/v1/transfers")).transfers;
  shown.replaceChildren(...(found.length ? found.flatMap(progress) : [h("p", { class: "soft" }, NONE)]));
}

/** Records a second over the last half minute; null before two steps were seen, and when none comes any more. */
function rateOf(one) {
  const now = performance.now() / 1000;
  const last = steps.at(-1);
  if (journal !== one.journal || (last && one.done < last.done)) {
    journal = one.journal;
    steps = [];
  }
  if (steps.at(-1)?.done !== one.done) steps.push({ time: now - one.idle_seconds, done: one.done });
  while (steps.length > 2 && now - steps[0].time > WINDOW) steps.shift();
  const [first, latest] = [steps[0], steps.at(-1)];
  if (one.idle_seconds > STALLED || latest.time - first.time < 0.5) return null;
  return (latest.done - first.done) / (latest.time - first.time);
}

function inTime(seconds) {
  if (seconds < 90) return `${spaced(Math.ceil(seconds))} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function stateOf(one) {
  if (one.finished) return `Finished ${inTime(one.idle_seconds)} ago`;
  if (one.idle_seconds > STALLED) return `No step for ${inTime(one.idle_seconds)}. If it was cut off, the same command goes on with it.`;
  return "Under way";
}

function progress(one) {
  const rate = rateOf(one);
  const share = one.finished ? 1 : one.expected ? Math.min(1, one.done / one.expected) : null;
  const readings = [["records", spaced(one.done), one.finished || one.expected === null ? "" : ` of ${spaced(one.expected)}`]];
  if (!one.finished) {
    readings.push(["a second", rate === null ? "–" : spaced(rate), ""]);
    readings.push(["time left", rate && one.expected !== null ? inTime((one.expected - one.done) / rate) : "–", ""]);
  }
  return [
    h("p", { id: "transfer-state" }, stateOf(one)),
    h("dl", { class: "readings" }, ...readings.map(([name, told, unit]) => h("div", {}, h("dt", {}, name), h("dd", { class: "reading" }, told, h("small", {}, unit))))),
    share === null ? null : meter(share),
    h("p", { class: "soft small" }, h("code", {}, one.journal)),
  ].filter(Boolean);
}

function meter(share) {
  return svg(
    "svg",
    { class: "meter", viewBox: "0 0 100 4", preserveAspectRatio: "none", role: "img", "aria-label": `${spaced(share * 100)} percent` },
    svg("rect", { class: "track", width: 100, height: 4 }),
    svg("rect", { class: "f1", width: share * 100, height: 4 }),
  );
}
