// Small line charts: a heading with the last values, the lines, and the same told in words.
import { h, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 100;
const POINTS = 90;

/** A chart of *series* names; `add(values, goal)` gives it the next values, null for none. */
export function chart(title, series, { unit = "", digits = 1, least = 1, most = null } = {}) {
  const history = series.map(() => []);
  const plot = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: no values yet` });
  const top = h("span", {}, "");
  const values = series.map(() => h("dd", { class: "reading" }, "–"));
  const element = h(
    "section",
    { class: "panel board plotted", "aria-label": title },
    h("div", { class: "board-head" }, h("h2", {}, title)),
    h("dl", { class: "readings" }, ...series.map((name, place) => h("div", {}, h("dt", {}, series.length > 1 ? svg("svg", { viewBox: "0 0 10 4", "aria-hidden": "true" }, svg("rect", { class: `f${place + 1}`, width: 10, height: 4, rx: 2 })) : null, name), values[place]))),
    plot,
    h("p", { class: "bounds number" }, h("span", {}, "3 minutes ago"), top, h("span", {}, "now")),
  );
  function add(next, goal = null) {
    next.forEach((one, place) => {
      history[place].push(one);
      if (history[place].length > POINTS) history[place].shift();
      const shown = one ?? history[place].findLast((former) => former !== null);
      values[place].replaceChildren(...(shown === null || shown === undefined ? ["–"] : [shown.toFixed(digits), h("small", {}, unit && ` ${unit}`)]));
    });
    const highest = most ?? Math.max(least, goal ?? 0, ...history.flat().filter((one) => one !== null));
    const y = (one) => HEIGHT - (Math.min(one, highest) / highest) * (HEIGHT - 4) - 2;
    const x = (place, count) => WIDTH - ((count - 1 - place) / (POINTS - 1)) * WIDTH;
    const lines = history.map((some, place) => {
      let path = "";
      let pen = "M";
      some.forEach((one, at) => {
        if (one === null) pen = "M";
        else {
          path += `${pen}${x(at, some.length).toFixed(1)} ${y(one).toFixed(1)}${pen === "M" ? "l0 0" : ""}`;
          pen = "L";
        }
      });
      return svg("path", { class: `line s${place + 1}`, d: path || "M0 0" });
    });
    plot.replaceChildren(
      svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
      ...(goal === null ? [] : [svg("line", { class: "goal", x1: 0, x2: WIDTH, y1: y(goal), y2: y(goal) })]),
      ...lines,
    );
    top.textContent = `top ${highest.toFixed(digits)} ${unit}`.trim();
    plot.setAttribute("aria-label", `${title}: ${series.map((name, place) => `${name} ${values[place].textContent}`).join(", ")}`);
  }
  return { element, add };
}
