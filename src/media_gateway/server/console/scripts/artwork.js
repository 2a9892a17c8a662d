// A picture for a title that has none: shapes and colours that its key and genres decide, the same each time.
import { svg } from "./dom.js";

const HUES = { 28: 14, 12: 38, 16: 190, 35: 48, 80: 350, 99: 160, 18: 265, 10751: 120, 14: 290, 36: 30, 27: 355, 10402: 320, 9648: 235, 10749: 335, 878: 210, 53: 10, 10752: 80, 37: 26, 10759: 18, 10762: 110, 10765: 220, 10768: 70 };

function seedOf(text) {
  let hash = 2166136261;
  for (const character of text) hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  return hash >>> 0;
}

function drawn(seed) {
  let state = seed || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

/** The picture of a record, which tells nothing that its text does not. */
export function artwork(key, metadata) {
  const next = drawn(seedOf(key));
  const genres = Array.isArray(metadata.genre_ids) ? metadata.genre_ids : [];
  const hue = (HUES[genres[0]] ?? Math.floor(next() * 360)) + (next() - 0.5) * 24;
  const other = (HUES[genres[1]] ?? hue + 40 + next() * 60) + (next() - 0.5) * 16;
  const colour = (angle, saturation, lightness) => `hsl(${Math.round((angle + 360) % 360)} ${saturation}% ${lightness}%)`;
  const shapes = [svg("rect", { width: 400, height: 300, fill: colour(hue, 42, 18) })];
  const horizon = 150 + next() * 90;
  shapes.push(svg("circle", { cx: 60 + next() * 280, cy: 60 + next() * 90, r: 34 + next() * 46, fill: colour(other, 72, 64), opacity: 0.92 }));
  for (let layer = 0; layer < 4; layer += 1) {
    const base = horizon + layer * (28 + next() * 14);
    const points = [`0,300`];
    const steps = 4 + Math.floor(next() * 5);
    for (let step = 0; step <= steps; step += 1) points.push(`${(400 * step) / steps},${base - next() * (74 - layer * 12)}`);
    points.push("400,300");
    const line = metadata.media_type === "tv"
      ? svg("rect", { x: next() * 280, y: base - 60 - next() * 60, width: 50 + next() * 90, height: 300, rx: 6, fill: colour(hue + layer * 7, 45, 26 + layer * 7), opacity: 0.9 })
      : svg("polygon", { points: points.join(" "), fill: colour(hue + (other - hue) * layer * 0.16, 46, 22 + layer * 8), opacity: 0.94 });
    shapes.push(line);
  }
  for (let dot = 0; dot < 5; dot += 1) shapes.push(svg("circle", { cx: next() * 400, cy: next() * 120, r: 1 + next() * 2.2, fill: "#fff", opacity: 0.65 }));
  return svg("svg", { class: "art", viewBox: "0 0 400 300", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true", focusable: "false" }, ...shapes);
}
