// The filters of the page and their JSON, as the service reads it.
import { byId, h } from "./dom.js";
import { genresByName } from "./records.js";

const empty = () => ({ type: "", genre: "", from: "", to: "", rating: "" });
let chosen = empty();
let changed = () => {};

function field(id, label, input, kind = "") {
  input.id = id;
  return h("div", { class: `field ${kind}` }, h("label", { for: id }, label), input);
}

function select(name, options) {
  const list = h("select", { onchange: () => set(name, list.value) }, ...options.map(([value, text]) => h("option", { value }, text)));
  return list;
}

function year(name) {
  const input = h("input", { type: "number", inputmode: "numeric", min: 1870, max: 2100, step: 1, oninput: () => set(name, input.checkValidity() ? input.value : "") });
  return input;
}

function set(name, value) {
  chosen = { ...chosen, [name]: value };
  changed();
}

/** The row of filters; *whenChanged* is called after each change. */
export function filterRow(whenChanged) {
  changed = whenChanged;
  const genres = [...genresByName().keys()].map((name) => [name, name]);
  const ratings = [5, 6, 7, 7.5, 8, 8.5].map((least) => [String(least), `${least} and up`]);
  return h(
    "div",
    { class: "filters", role: "group", "aria-label": "Filters" },
    field("filter-type", "Type", select("type", [["", "All"], ["movie", "Films"], ["tv", "Series"]])),
    field("filter-genre", "Genre", select("genre", [["", "All"], ...genres])),
    field("filter-from", "From year", year("from"), "year"),
    field("filter-to", "To year", year("to"), "year"),
    field("filter-rating", "Rating", select("rating", [["", "Any"], ...ratings])),
  );
}

export function conditions() {
  const found = [];
  if (chosen.type) found.push({ media_type: chosen.type });
  if (chosen.genre) found.push({ genres_any: genresByName().get(chosen.genre) });
  if (chosen.from || chosen.to) {
    const period = {};
    if (chosen.from) period.first = `${chosen.from.padStart(4, "0")}-01-01`;
    if (chosen.to) period.last = `${chosen.to.padStart(4, "0")}-12-31`;
    found.push({ released: period });
  }
  if (chosen.rating) found.push({ rating: { low: Number(chosen.rating) } });
  return found;
}

/** A button for each filter in force, which takes it off. */
export function filterChips() {
  const words = {
    type: { movie: "Films", tv: "Series" }[chosen.type],
    genre: chosen.genre,
    from: chosen.from && `from ${chosen.from}`,
    to: chosen.to && `to ${chosen.to}`,
    rating: chosen.rating && `${chosen.rating} and up`,
  };
  return Object.entries(words)
    .filter(([, text]) => text)
    .map(([name, text]) => chip(text, "Remove filter", () => {
      byId(`filter-${name}`).value = "";
      set(name, "");
    }));
}

export function chip(text, what, remove, kind = "") {
  return h("button", { class: `chip ${kind}`, type: "button", "aria-label": `${what} ${text}`, onclick: remove }, h("span", { dir: "auto" }, text), h("span", { "aria-hidden": "true" }, "×"));
}
