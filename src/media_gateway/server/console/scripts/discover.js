// Search as one types.
import { ApiError, search, similar } from "./api.js";
import { artwork } from "./artwork.js";
import { announce, byId, h, sheet, spaced } from "./dom.js";
import { chip, conditions, filterChips, filterRow } from "./filters.js";
import { factsOf, genresOf, scoreBar, titleOf } from "./records.js";

const WAIT = 40;
const MOST = 24;
const IDEAS = ["toys that come alive", "a heist in a dream", "90s romantic comedies", "detective in a rainy city", "series about politics and dragons"];

let pending = null;
let timer = 0;
let kept = new Set();
let last = null;

const input = h("input", { type: "search", id: "search", placeholder: "A plot, a mood, a name …", autocomplete: "off", spellcheck: "false", maxlength: 1000, enterkeyhint: "search" });
const chips = h("div", { class: "chips", "aria-label": "Filters in force", role: "group" });
const summary = h("div", { class: "summary" });
const results = h("ul", { class: "grid", id: "results" });
const note = h("div", { class: "empty" });

export function startDiscover() {
  input.addEventListener("input", () => {
    kept = new Set();
    soon();
  });
  const ideas = IDEAS.map((text) => h("button", { class: "chip", type: "button", onclick: () => {
    input.value = text;
    kept = new Set();
    now();
    input.focus();
  } }, text));
  byId("discover").append(
    h(
      "div",
      { class: "search-head" },
      h("h1", {}, "What would you like to watch?"),
      h("div", { class: "search-box", role: "search" }, h("label", { class: "unseen", for: "search" }, "Search films and series"), input),
      filterRow(now),
      chips,
    ),
    summary,
    results,
    note,
    h("div", { class: "chips", id: "ideas", role: "group", "aria-label": "Ideas" }, ...ideas),
  );
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.target instanceof HTMLTextAreaElement;
    if (event.key === "/" && !typing && !byId("discover").hidden) {
      event.preventDefault();
      input.focus();
    }
  });
  now();
}

/** Ask again, when what was away is back. */
export function refreshDiscover() {
  now();
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(now, WAIT);
}

function bodyOf(text) {
  const parts = conditions();
  const where = parts.length > 1 ? { and: parts } : parts[0];
  return { text, k: MOST, where, interpret: true, keep: [...kept] };
}

async function now() {
  clearTimeout(timer);
  pending?.abort();
  const text = input.value.trim();
  byId("ideas").hidden = text !== "";
  if (!text) {
    last = null;
    chips.replaceChildren(...filterChips());
    summary.replaceChildren();
    results.replaceChildren();
    note.hidden = false;
    note.textContent = "Describe what you are in the mood for. Genres, decades and types in your words become filters.";
    return;
  }
  pending = new AbortController();
  const began = performance.now();
  try {
    const body = bodyOf(text);
    const found = await search(body, pending.signal);
    show(found, body, performance.now() - began);
  } catch (error) {
    if (error.name !== "AbortError") refuse(error);
  }
}

function refuse(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.isAway && results.childElementCount) return;
  summary.replaceChildren();
  results.replaceChildren();
  note.hidden = false;
  note.textContent = error.isAway ? "The search is away; this page asks again by itself." : error.message;
}

function show(found, body, milliseconds) {
  last = body;
  const named = (found.filters ?? []).map((one) => chip(one.label, "Search for the words instead of the filter", () => {
    kept.add(one.words);
    now();
    input.focus();
  }, "named"));
  chips.replaceChildren(...named, ...filterChips());
  const count = found.hits.length;
  const told = `${count} ${count === 1 ? "title" : "titles"}`;
  const how = `${spaced(found.milliseconds, 1)} ms · ${found.exact ? "exact" : "by the index"}`;
  summary.replaceChildren(
    h("p", { class: "soft" }, h("strong", {}, told), h("span", { class: "number", title: `${Math.round(milliseconds)} ms with the way there and back` }, ` · ${how}`)),
    h("button", { class: "quiet", type: "button", id: "explain", onclick: explain }, "How was this found?"),
  );
  results.replaceChildren(...found.hits.map((hit) => card(hit, found.ordered_by !== "popularity")));
  results.dataset.text = body.text;
  note.hidden = count > 0;
  note.textContent = "Nothing passes these filters. Take one off, or say it in other words.";
  announce(`${told} found`);
  performance.mark("results-shown");
}

function card(hit, isScored) {
  return h(
    "li",
    { class: "card", "data-key": hit.key },
    artwork(hit.key, hit.metadata),
    h(
      "div",
      { class: "card-body" },
      h("h3", { dir: "auto" }, h("button", { type: "button", onclick: () => open(hit) }, h("span", { class: "title" }, titleOf(hit)))),
      h("p", { class: "facts number" }, factsOf(hit.metadata)),
      isScored ? scoreBar(hit.score) : h("p", { class: "score" }, "popular"),
      h("button", { class: "quiet", type: "button", onclick: () => open(hit), "aria-label": `More like this: ${titleOf(hit).slice(0, 80)}` }, "More like this"),
    ),
  );
}

async function open(hit) {
  const near = h("ul", { class: "near" }, h("li", { class: "soft" }, "Looking …"));
  const overview = typeof hit.metadata.overview === "string" ? hit.metadata.overview : "";
  const dialog = sheet(
    titleOf(hit),
    artwork(hit.key, hit.metadata),
    h("p", { class: "soft" }, [factsOf(hit.metadata), genresOf(hit.metadata)].filter(Boolean).join(" · ")),
    overview ? h("p", { class: "overview", dir: "auto" }, overview) : null,
    h("h3", {}, "More like this"),
    near,
  );
  try {
    const found = await similar(hit.key, 8);
    near.replaceChildren(...found.hits.map((one) => h(
      "li",
      {},
      h("button", { type: "button", dir: "auto", onclick: () => {
        dialog.close();
        open(one);
      } }, h("span", { class: "title" }, titleOf(one))),
      h("span", { class: "soft number" }, one.score.toFixed(3)),
    )));
  } catch (error) {
    near.replaceChildren(h("li", { class: "problem" }, error.message));
  }
}

async function explain() {
  if (!last) return;
  try {
    const found = await search({ ...last, explain: true });
    const told = found.explanation;
    const rows = [
      ["Way", { scan: "Everything that passes was compared", index: "By the index", count: "Counted first" }[told.way] ?? told.way],
      ["Why", told.reason],
      ["Took", `${spaced(told.milliseconds, 2)} ms in the store`],
      ["Exact", told.exact ? "yes" : "no, measured to reach the recall that is set"],
      ["Store", told.backend],
      ["Index", told.index],
      ["Width", told.ef_search],
      ["Searched for", found.searched],
    ].filter(([, value]) => value !== null && value !== undefined && value !== "");
    sheet(
      "How was this found?",
      h("dl", { class: "pairs" }, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
      told.plan?.length ? h("pre", { class: "plan", tabindex: 0, "aria-label": "The server's plan" }, told.plan.join("\n")) : null,
    );
  } catch (error) {
    sheet("How was this found?", h("p", { class: "problem" }, error.message));
  }
}
