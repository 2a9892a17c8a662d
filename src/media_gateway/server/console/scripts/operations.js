// How the system does: charts from its metrics, sizes, and what the doctor finds.
import { ask } from "./api.js";
import { chart } from "./charts.js";
import { byId, h, spaced } from "./dom.js";
import { key, onKey } from "./key.js";
import { increase, lowest, quantiles, reading, samplesOf, value } from "./prometheus.js";
import { refreshRollout, startRollout } from "./rollout.js";
import { refreshTransfers, startTransfers } from "./transfers.js";

const EVERY = 2000;
const LARGEST = 6;
const latency = chart("Search latency", ["p50", "p95", "p99"], { unit: "ms", digits: 1 });
const throughput = chart("Requests", ["a second"], { unit: "", digits: 1 });
const recall = chart("Sampled recall", ["recall@k"], { digits: 3, most: 1 });
const pool = chart("Connections", ["used", "idle"], { digits: 0, least: 2 });
const cache = chart("Embedding cache", ["hits"], { unit: "%", digits: 0, most: 100 });
const sizes = h("tbody");
const findings = h("div", { class: "board" }, h("p", { class: "soft" }, "Not asked yet."));
const run = h("button", { class: "button", type: "button", id: "doctor-run", onclick: diagnose }, "Examine now");
const needsKey = h("p", { class: "soft small" }, "An admin key is needed.");
let former = null;
let timer = 0;

export function startOperations() {
  byId("operations").append(
    h("h1", {}, "Operations"),
    h(
      "div",
      { class: "boards" },
      latency.element, throughput.element, recall.element, pool.element, cache.element,
      h("section", { class: "panel board tall", "aria-label": "Sizes" }, h("h2", {}, "Sizes"), h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "number" }, "Size"))), sizes)),
      startTransfers(),
      startRollout(),
      h("section", { class: "panel board wide", "aria-label": "Doctor" }, h("div", { class: "board-head" }, h("h2", {}, "Doctor"), h("div", { class: "actions" }, needsKey, run)), findings),
    ),
  );
  onKey(allow);
  allow();
}

function allow() {
  run.disabled = !key();
  needsKey.hidden = Boolean(key());
}

/** Read on while the tab is shown. */
export function showOperations(isShown) {
  clearTimeout(timer);
  if (isShown) tick();
}

async function tick() {
  try {
    const latter = reading(await ask("/metrics", { asText: true }));
    if (former) draw(latter);
    else sizesOf(latter);
    former = latter;
    await Promise.all([refreshRollout(latter), refreshTransfers()]);
  } catch {
    former = null;
    for (const [one, count] of [[latency, 3], [throughput, 1], [recall, 1], [pool, 2], [cache, 1]]) one.add(Array(count).fill(null));
  }
  clearTimeout(timer);
  if (!byId("operations").hidden) timer = setTimeout(tick, EVERY);
}

function draw(latter) {
  const seconds = latter.time - former.time;
  const found = quantiles(former, latter, "store_operation_duration_seconds", { operation: "search" }, [0.5, 0.95, 0.99]);
  latency.add(found ? found.map((one) => one * 1000) : [null, null, null]);
  throughput.add([increase(former, latter, "http_requests_total") / seconds]);
  recall.add([lowest(latter, "recall_ratio")], value(latter, "recall_target_ratio"));
  pool.add([value(latter, "pool_connections", { state: "used" }), value(latter, "pool_connections", { state: "idle" })]);
  const hits = value(latter, "embedding_cache_hits_total");
  const asked = (hits ?? 0) + (value(latter, "embedding_cache_misses_total") ?? 0);
  cache.add([asked ? (100 * hits) / asked : null]);
  sizesOf(latter);
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const place = Math.min(units.length - 1, count > 0 ? Math.floor(Math.log2(count) / 10) : 0);
  return `${spaced(count / 1024 ** place, place ? 1 : 0)} ${units[place]}`;
}

function sizesOf(one) {
  const rows = [["Records", value(one, "collection_records"), (count) => spaced(count)]];
  const relations = samplesOf(one, "postgres_relation_size_bytes").toSorted((some, other) => other.value - some.value);
  for (const { labels, value: size } of relations.slice(0, LARGEST)) rows.push([labels.relation, size, bytes]);
  for (const { labels, value: free } of samplesOf(one, "disk_free_bytes")) rows.push([`free on the disk of ${labels.volume}`, free, bytes]);
  const backup = value(one, "backup_last_success_timestamp_seconds");
  rows.push(["Last backup", backup || null, (at) => new Date(at * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" })]);
  sizes.replaceChildren(...rows.map(([name, size, told]) => h("tr", {}, h("td", {}, ...breakable(name)), h("td", { class: "number" }, size === null ? "–" : told(size)))));
}

/** The name of a table or index, which lines may break in only behind its parts. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part) => [part, h("wbr")]);
}

async function diagnose() {
  run.disabled = true;
  findings.replaceChildren(h("p", { class: "soft" }, "Examining …"));
  try {
    const found = await ask("/v1/doctor");
    const sentence = found.findings.length ? `${found.findings.length} ${found.findings.length === 1 ? "finding" : "findings"}` : `Nothing is wrong. ${found.checked.length} things were looked at.`;
    findings.replaceChildren(h("p", { role: "status" }, sentence), ...found.findings.map(finding));
  } catch (error) {
    findings.replaceChildren(h("p", { class: "problem" }, error.message));
  }
  allow();
}

function finding(one) {
  const command = h("code", {}, one.command);
  const copied = h("button", { class: "quiet", type: "button", onclick: () => copy(command, copied) }, "Copy");
  return h(
    "article",
    { class: "finding" },
    h("p", { class: `severity ${one.severity}` }, one.severity),
    h("h3", {}, one.seen),
    h("p", { class: "soft" }, one.matters),
    one.command ? h("div", { class: "command" }, command, copied) : null,
  );
}

/** Put the text of *command* into the clipboard; browsers that let no page do so get it selected. */
async function copy(command, button) {
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command);
    button.textContent = "Selected";
  }
}
