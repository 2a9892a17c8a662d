// How the system does: charts from its metrics, sizes, transfers, and what the doctor finds.
import { ask } from "./api.js";
import { chart } from "./charts.js";
import { byId, h, spaced, svg } from "./dom.js";
import { key, onKey } from "./key.js";
import { increase, quantiles, reading, samplesOf, value } from "./prometheus.js";
import { startRollout, refreshRollout } from "./rollout.js";

const EVERY = 2000;
const LARGEST = 6;
const latency = chart("Search latency", ["p50", "p95", "p99"], { unit: "ms", digits: 1 });
const throughput = chart("Requests", ["a second"], { unit: "", digits: 1 });
const recall = chart("Sampled recall", ["recall@k"], { digits: 3, most: 1 });
const pool = chart("Connections", ["used", "idle"], { digits: 0, least: 2 });
const cache = chart("Embedding cache", ["hits"], { unit: "%", digits: 0, most: 100 });
const sizes = h("tbody");
const transfers = h("div", {}, h("p", { class: "soft" }, "None is running."));
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
      h("section", { class: "panel board", "aria-label": "Transfers" }, h("h2", {}, "Transfers"), transfers),
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
  recall.add([value(latter, "recall_ratio")], value(latter, "recall_target_ratio"));
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
  rows.push(["Last backup", backup || null, (at) => new Date(at * 1000).toLocaleString()]);
  sizes.replaceChildren(...rows.map(([name, size, told]) => h("tr", {}, h("td", {}, name), h("td", { class: "number" }, size === null ? "–" : told(size)))));
}

async function refreshTransfers() {
  const found = (await ask("/v1/transfers")).transfers;
  transfers.replaceChildren(...(found.length ? found.map(progress) : [h("p", { class: "soft" }, "None is running.")]));
}

function progress(one) {
  const share = one.expected ? Math.min(1, one.done / one.expected) : null;
  const told = one.finished ? "finished" : one.idle_seconds > 60 ? `no step for ${spaced(one.idle_seconds)} s` : "under way";
  return h(
    "div",
    { class: "board" },
    h("p", { class: "number" }, `${spaced(one.done)} of ${one.expected === null ? "an unknown number" : spaced(one.expected)} records, ${told}`),
    share === null ? null : svg("svg", { class: "meter", viewBox: "0 0 100 4", preserveAspectRatio: "none", role: "img", "aria-label": `${spaced(share * 100)} percent` }, svg("rect", { class: "track", width: 100, height: 4 }), svg("rect", { class: "f1", width: share * 100, height: 4 })),
  );
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
  const copied = h("button", { class: "quiet", type: "button" }, "Copy");
  copied.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(one.command);
    copied.textContent = "Copied";
  });
  return h(
    "article",
    { class: "finding" },
    h("p", { class: `severity ${one.severity}` }, one.severity),
    h("h3", {}, one.seen),
    h("p", { class: "soft" }, one.matters),
    one.command ? h("div", { class: "command" }, h("code", {}, one.command), copied) : null,
  );
}
