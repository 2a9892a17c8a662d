// Recommendations for one user, each with its reason, and how they change by watching.
import { ask, search } from "./api.js";
import { artwork } from "./artwork.js";
import { announce, byId, h, spaced, svg } from "./dom.js";
import { key, onKey, usersBrought } from "./key.js";
import { factsOf, titleOf } from "./records.js";

const COUNT = 12;
const TRIES = 20;
const PAUSE = 500;
const SOURCES = [["behaviour", "people who liked the same", "f1"], ["ials", "taste", "f2"], ["text", "what it is about", "f3"], ["popularity", "popular", "f4"], ["recent", "popular lately", "f5"], ["newest", "popular now", "f6"]];
const input = h("input", { id: "user", type: "text", autocomplete: "off", maxlength: 200, list: "users" });
const known = h("datalist", { id: "users" });
const told = h("div", { role: "status" });
const list = h("ol", { class: "list" });
const wanted = h("input", { id: "watched", type: "search", autocomplete: "off", maxlength: 300, oninput: () => find() });
const finds = h("ul", { class: "near" });
const more = h("div", { class: "panel seen", hidden: true }, h("div", { class: "field" }, h("label", { for: "watched" }, "Watched something else? Find it"), wanted), finds);
let shown = null;
let finding = null;

/** Whether the service learns, so that there is something to show. */
export async function isLearning() {
  try {
    await ask("/v1/users/somebody-unknown/recommendations?k=1&note=false");
    return true;
  } catch {
    return false;
  }
}

export function startPeople() {
  const form = h("form", { class: "who", onsubmit: (event) => {
    event.preventDefault();
    shown = null;
    told.replaceChildren();
    load();
  } }, h("div", { class: "field" }, h("label", { for: "user" }, "User"), input, known), h("button", { class: "button primary", type: "submit" }, "Show"));
  const chips = usersBrought().map((name) => h("button", { class: "chip", type: "button", onclick: () => {
    input.value = name;
    form.requestSubmit();
  } }, name));
  byId("people").append(
    h("div", { class: "people-head" }, h("h1", {}, "What suits whom, and why"), h("p", { class: "soft" }, "Pick a user, or make one up: somebody unknown gets what is popular, and every watched title moves the list."), form, chips.length ? h("div", { class: "chips", role: "group", "aria-label": "Users" }, ...chips) : null, legend()),
    told,
    more,
    list,
  );
  onKey(() => {
    if (shown) draw(shown.items, null);
    find();
  });
}

function legend() {
  return h("p", { class: "legend" }, ...SOURCES.map(([, name, kind]) => h("span", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: kind, width: 10, height: 10, rx: 3 })), name)));
}

async function find() {
  finding?.abort();
  const text = wanted.value.trim();
  if (!text) {
    finds.replaceChildren();
    return;
  }
  finding = new AbortController();
  try {
    const found = await search({ text, k: 4 }, finding.signal);
    finds.replaceChildren(...found.hits.map((hit) => h("li", {}, h("span", { class: "title", dir: "auto" }, titleOf(hit)), markButton(hit))));
  } catch (error) {
    if (error.name !== "AbortError") finds.replaceChildren(h("li", { class: "problem" }, error.message));
  }
}

function markButton(hit) {
  const title = titleOf(hit).slice(0, 80);
  const button = h("button", { class: "button", type: "button", disabled: !key(), title: key() ? null : "A key that may write is needed", "aria-label": `Mark as watched: ${title}`, onclick: () => watch(hit, button) }, "Mark as watched");
  return button;
}

function path(user, note) {
  return `/v1/users/${encodeURIComponent(user)}/recommendations?k=${COUNT}&note=${note}`;
}

async function load() {
  const user = input.value.trim();
  if (!user) return;
  try {
    const found = await ask(path(user, Boolean(key())));
    known.append(h("option", { value: user }));
    shown = found;
    draw(found.items, null);
    more.hidden = false;
    told.replaceChildren(h("p", { class: "soft" }, `${user}: ${spaced(found.likes)} ${found.likes === 1 ? "title" : "titles"} liked · ${spaced(found.milliseconds, 1)} ms`));
    announce(`${found.items.length} recommendations for ${user}`);
  } catch (error) {
    list.replaceChildren();
    more.hidden = true;
    told.replaceChildren(h("p", { class: "problem" }, error.message));
  }
}

function draw(items, before) {
  if (items.length === 0) {
    list.replaceChildren(h("li", { class: "empty" }, "Nothing is known of anybody yet. Mark a title as watched, and the list begins."));
    return;
  }
  list.replaceChildren(...items.map((item, place) => pick(item, place, before)));
}

function pick(item, place, before) {
  return h(
    "li",
    { class: "pick", "data-key": item.key },
    h("p", { class: "place number" }, String(place + 1)),
    artwork(item.key, item.metadata),
    h("div", {}, h("h3", { dir: "auto" }, h("span", { class: "title" }, titleOf(item))), h("p", { class: "facts number" }, factsOf(item.metadata)), h("p", { class: "reason", dir: "auto" }, item.reason), shares(item.shares)),
    h("div", { class: "actions" }, before ? movement(item.key, place, before) : null, markButton(item)),
  );
}

function movement(name, place, before) {
  const former = before.indexOf(name);
  if (former < 0) return h("span", { class: "moved fresh" }, "new");
  if (former === place) return null;
  return former > place ? h("span", { class: "moved up" }, `▲ ${former - place}`) : h("span", { class: "moved down" }, `▼ ${place - former}`);
}

function shares(of) {
  let from = 0;
  const parts = SOURCES.filter(([name]) => of[name] > 0).map(([name, title, kind]) => {
    const width = of[name] * 100;
    const part = svg("rect", { class: kind, x: from, width, height: 4 }, svg("title", {}, `${title} ${Math.round(width)} %`));
    from += width;
    return part;
  });
  const words = SOURCES.filter(([name]) => of[name] > 0.005).map(([name, title]) => `${title} ${Math.round(of[name] * 100)} %`).join(", ");
  return svg("svg", { class: "shares", viewBox: "0 0 100 4", preserveAspectRatio: "none", role: "img", "aria-label": words || "no shares" }, ...parts);
}

async function watch(item, button) {
  const former = shown;
  const user = former.user;
  button.disabled = true;
  try {
    await ask("/v1/events", { method: "POST", body: { events: [{ user, key: item.key, action: "watch", completion: 1, list_id: former.list_id }] } });
    told.replaceChildren(h("p", { class: "soft" }, "Noted; learning from it …"));
    wanted.value = "";
    finds.replaceChildren();
    await learned(user, former, item);
  } catch (error) {
    button.disabled = false;
    told.replaceChildren(h("p", { class: "problem" }, error.message));
  }
}

async function learned(user, former, item) {
  const before = former.items.map((one) => one.key);
  for (let tried = 0; tried < TRIES; tried += 1) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    const found = await ask(path(user, false));
    if (found.likes > former.likes && !found.items.some((one) => one.key === item.key)) {
      shown = found;
      draw(found.items, before);
      const because = found.items.filter((one) => one.because === item.key).length;
      const moved = found.items.filter((one, place) => before[place] !== one.key).length;
      const sentence = `${titleOf(item)} was watched: ${moved} of ${found.items.length} places changed, ${because} ${because === 1 ? "is" : "are"} there because of it.`;
      told.replaceChildren(h("p", { class: "change", dir: "auto" }, sentence));
      announce(sentence);
      return;
    }
  }
  told.replaceChildren(h("p", { class: "soft" }, "It is kept; the learner has not come to it yet. Show again in a moment."));
}
