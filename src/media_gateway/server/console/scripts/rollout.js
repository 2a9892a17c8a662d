// The rollout's state, its controls, and what shadow saw.
import { ask } from "./api.js";
import { announce, h, spaced } from "./dom.js";
import { key, onKey } from "./key.js";
import { value } from "./prometheus.js";

const facts = h("dl", { class: "pairs" });
const said = h("p", { class: "soft", role: "status" });
const mode = h("select", { id: "rollout-mode" }, ...["off", "shadow", "canary", "on"].map((name) => h("option", { value: name }, name)));
const percent = h("input", { id: "rollout-percent", type: "number", min: 0, max: 100, step: 1, value: 5 });
const reason = h("input", { id: "rollout-reason", type: "text", maxlength: 300, autocomplete: "off" });
const set = h("button", { class: "button", type: "submit" }, "Set");
const back = h("button", { class: "button", type: "button", onclick: () => change("/v1/rollback", { reason: reason.value }) }, "Roll back now");
const needsKey = h("p", { class: "soft small" }, "An admin key is needed to change it.");
let isPossible = true;

export function startRollout() {
  const labelled = (label, input) => h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  const percentField = labelled("Percent", percent);
  const form = h("form", { class: "controls", "aria-label": "Change the rollout", onsubmit: (event) => {
    event.preventDefault();
    const body = { mode: mode.value, reason: reason.value };
    if (mode.value === "canary") body.percent = Number(percent.value);
    change("/v1/rollout", body);
  } }, labelled("Mode", mode), percentField, labelled("Why", reason), set, back);
  const shown = () => { percentField.hidden = mode.value !== "canary"; };
  mode.addEventListener("change", shown);
  shown();
  onKey(allow);
  allow();
  return h("section", { class: "panel board wide", "aria-label": "Rollout" }, h("h2", {}, "Rollout"), facts, form, needsKey, said);
}

function allow() {
  for (const one of [mode, percent, reason, set, back]) one.disabled = !key() || !isPossible;
  needsKey.hidden = Boolean(key()) || !isPossible;
}

export async function refreshRollout(metrics) {
  let state;
  try {
    state = await ask("/v1/rollout");
    isPossible = true;
  } catch (error) {
    if (error.isAway) throw error;
    isPossible = false;
    facts.replaceChildren(h("dt", {}, "State"), h("dd", {}, error.message));
    allow();
    return;
  }
  const overlap = value(metrics, "rollout_shadow_overlap_ratio");
  const rows = [
    ["State", state.tripped ? `${state.state}, the guard has tripped` : state.state],
    ["Since", state.at && new Date(state.at).toLocaleString()],
    ["By", state.who],
    ["Why", state.why],
    ["PostgreSQL", state.postgres],
    ["Shadow", overlap === null ? "no comparison yet" : `${spaced(overlap * 100, 1)} % of the answers agree`],
  ].filter(([, told]) => told);
  facts.replaceChildren(...rows.flatMap(([name, told]) => [h("dt", {}, name), h("dd", {}, told)]));
  allow();
}

async function change(path, body) {
  said.className = "soft";
  said.textContent = "Changing …";
  try {
    const done = await ask(path, { method: "POST", body });
    said.textContent = [done.sentence, ...done.remarks].join("; ");
    announce(done.sentence);
  } catch (error) {
    said.className = "problem";
    said.textContent = error.message;
  }
}
