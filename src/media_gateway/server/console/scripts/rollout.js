// The rollout's state and its controls.
import { ask } from "./api.js";
import { announce, h, spaced } from "./dom.js";
import { key, onKey } from "./key.js";
import { comparisons } from "./shadow.js";

const STORES = { memory: "memory", postgres: "PostgreSQL" };
const facts = h("dl", { class: "statements" });
const compared = h("div", { class: "board" });
const said = h("p", { class: "soft", role: "status" });
const mode = h("select", { id: "rollout-mode" }, ...["off", "shadow", "canary", "on"].map((name) => h("option", { value: name }, name)));
const percent = h("input", { id: "rollout-percent", type: "number", min: 0, max: 100, step: "any", value: 5, required: true });
const percentField = labelled("Percent of users", percent);
const reason = h("input", { id: "rollout-reason", type: "text", maxlength: 300, autocomplete: "off" });
const set = h("button", { class: "button", type: "submit" }, "Set");
const back = h("button", { class: "button", type: "button", onclick: () => change("/v1/rollback", { reason: reason.value }) }, "Roll back now");
const needsKey = h("p", { class: "soft small" }, "An admin key is needed to change it.");
let isPossible = true;
let isBusy = false;
let shown = -1;
let asked = 0;
let drawn = 0;
let metrics = null;

export function startRollout() {
  const form = h("form", { class: "controls", "aria-label": "Change the rollout", onsubmit: submit }, labelled("Mode", mode), percentField, labelled("Why", reason), set, back);
  mode.addEventListener("change", offerPercent);
  offerPercent();
  onKey(allow);
  allow();
  return h("section", { class: "panel board wide", "aria-label": "Rollout" }, h("h2", {}, "Rollout"), facts, form, needsKey, said, compared);
}

function labelled(label, input) {
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
}

function submit(event) {
  event.preventDefault();
  const body = { mode: mode.value, reason: reason.value };
  if (mode.value === "canary") body.percent = Number(percent.value);
  change("/v1/rollout", body);
}

/** A percent belongs to canary; what is hidden must not keep the form from being sent. */
function offerPercent() {
  percentField.hidden = mode.value !== "canary";
  allow();
}

function allow() {
  for (const one of [mode, reason, set, back]) one.disabled = !key() || !isPossible || isBusy;
  percent.disabled = set.disabled || percentField.hidden;
  needsKey.hidden = Boolean(key()) || !isPossible;
}

/** Ask for the state; the shares of agreement are in the *latest* metrics. */
export async function refreshRollout(latest) {
  metrics = latest;
  asked += 1;
  const turn = asked;
  let state;
  try {
    state = await ask("/v1/rollout");
    // An answer that was overtaken tells of what was before a change.
    if (turn < drawn) return;
    drawn = turn;
    isPossible = true;
  } catch (error) {
    if (error.isAway) throw error;
    isPossible = false;
    tell([["State", error.message]]);
    compared.replaceChildren();
    allow();
    return;
  }
  tell(rowsOf(state));
  compared.replaceChildren(...comparisons(metrics, state.service));
  follow(state);
  allow();
}

function tell(rows) {
  facts.replaceChildren(...rows.map(([name, told]) => h("div", {}, h("dt", {}, name), h("dd", {}, told))));
}

function rowsOf(state) {
  const service = state.service;
  const rows = [
    ["State", state.tripped ? `${state.state}, the guard has tripped: memory answers until a state is set again` : state.state],
    ["Since", state.at && new Date(state.at).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" })],
    ["By", state.who],
    ["Why", state.why],
    ["Reads", service && (STORES[service.reads] ?? service.reads)],
    ["Written first", service && STORES[service.truth]],
    ["Copy", service && !service.alone && (service.is_complete ? "complete" : `under way, ${spaced(service.copied)} records looked at`)],
    ["On the way", service?.waiting ? `${spaced(service.waiting)} records` : null],
    ["Takes no part", service?.alone ? service.failure : null],
    ["PostgreSQL", state.postgres],
  ];
  return rows.filter(([, told]) => told);
}

/** Show a state that was set elsewhere in the controls, which keep what is being chosen otherwise. */
function follow(state) {
  if (state.mode && state.epoch > shown) {
    shown = state.epoch;
    mode.value = state.mode;
    if (state.mode === "canary") percent.value = state.percent;
    offerPercent();
  }
}

async function change(path, body) {
  isBusy = true;
  allow();
  said.className = "soft";
  said.textContent = "Changing …";
  try {
    const done = await ask(path, { method: "POST", body });
    said.textContent = [done.sentence, ...done.remarks].join("; ");
    announce(done.sentence);
    reason.value = "";
  } catch (error) {
    said.className = "problem";
    said.textContent = error.message;
  }
  isBusy = false;
  allow();
  await refreshRollout(metrics).catch(() => {});
}
