// What a record says of itself, in words.
import { h, spaced, svg } from "./dom.js";

let names = new Map();

export async function loadGenres() {
  try {
    const tables = await (await fetch("/console/genres.json")).json();
    for (const table of Object.values(tables)) for (const [number, name] of Object.entries(table)) names.set(Number(number), name);
  } catch {
    names = new Map();
  }
}

/** The genres by name, each with all the numbers that bear it. */
export function genresByName() {
  const found = new Map();
  for (const [number, name] of names) found.set(name, [...(found.get(name) ?? []), number]);
  return new Map([...found].sort(([one], [other]) => one.localeCompare(other)));
}

export function titleOf(hit) {
  const title = hit.metadata?.title;
  return typeof title === "string" && title.trim() ? title : hit.key;
}

export function factsOf(metadata) {
  const facts = [];
  if (typeof metadata.release_date === "string") facts.push(metadata.release_date.slice(0, 4));
  if (metadata.media_type === "movie") facts.push("Film");
  if (metadata.media_type === "tv") facts.push("Series");
  if (typeof metadata.vote_average === "number") facts.push(`★ ${spaced(metadata.vote_average, 1)}`);
  return facts.join(" · ");
}

export function genresOf(metadata) {
  const ids = Array.isArray(metadata.genre_ids) ? metadata.genre_ids : [];
  return [...new Set(ids.map((id) => names.get(id)).filter(Boolean))].join(", ");
}

/** How near a hit is, as a bar with its number. */
export function scoreBar(score) {
  const width = Math.max(0, Math.min(1, score)) * 100;
  return h(
    "p",
    { class: "score number" },
    svg("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "track", width: 100, height: 4, rx: 2 }), svg("rect", { class: "f1", width, height: 4, rx: 2 })),
    h("span", {}, h("span", { class: "unseen" }, "score "), score.toFixed(3)),
  );
}
