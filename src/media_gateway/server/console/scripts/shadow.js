// Both stores compared: how far they agree, and the searches that they answered differently.
import { h, spaced } from "./dom.js";
import { value } from "./prometheus.js";

const NO_KEY = "An admin key shows which searches differed.";

/** What was compared, as elements; none before the first comparison. */
export function comparisons(metrics, service) {
  const overlap = value(metrics, "rollout_shadow_overlap_ratio");
  if (overlap === null) return [];
  return [h("h3", {}, "Memory and PostgreSQL compared"), readings(overlap, service?.comparisons), ...differences(service)];
}

function readings(overlap, minute) {
  const found = [["hits that agree", spaced(overlap * 100, 1), "%"]];
  if (minute?.compared) {
    found.push(
      ["compared this minute", spaced(minute.compared), ""],
      ["memory p95", spaced(minute.old_p95_ms, 1), "ms"],
      ["PostgreSQL p95", spaced(minute.new_p95_ms, 1), "ms"],
    );
  }
  if (minute?.failed) found.push(["failed this minute", spaced(minute.failed), ""]);
  return h("dl", { class: "readings" }, ...found.map(([name, told, unit]) => h("div", {}, h("dt", {}, name), h("dd", { class: "reading" }, told, h("small", {}, unit && ` ${unit}`)))));
}

function differences(service) {
  if (!service) return [];
  if (!service.differing) return [h("p", { class: "soft small" }, NO_KEY)];
  if (service.differing.length === 0) return [h("p", { class: "soft" }, "No search was answered differently.")];
  const heads = ["When", "Agree", "Memory alone", "PostgreSQL alone"];
  return [h(
    "table",
    { id: "differences" },
    h("caption", {}, "The last searches that were answered differently, and what one store alone found"),
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...service.differing.map(row)),
  )];
}

function row(one) {
  const same = Math.round(one.hits * one.overlap);
  const alone = (keys) => {
    if (keys.length === 0) return one.only_memory.length || one.only_postgres.length ? "–" : `the same records, scores differ by ${one.score_difference.toPrecision(2)}`;
    return keys.join(", ");
  };
  return h("tr", {}, h("td", { class: "plain" }, new Date(one.at).toLocaleTimeString()), h("td", { class: "plain" }, `${same} of ${one.hits}`), h("td", {}, alone(one.only_memory)), h("td", {}, alone(one.only_postgres)));
}
