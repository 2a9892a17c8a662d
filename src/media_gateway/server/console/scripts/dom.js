// Elements are made here, and nowhere from markup: every text that a record brings is a text node.
const SVG = "http://www.w3.org/2000/svg";

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function h(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

export function svg(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

export function byId(id) {
  return document.getElementById(id);
}

/** Tell people who do not see the page. */
export function announce(sentence) {
  byId("live").textContent = sentence;
}

/** A dialog with *title* that removes itself when it is closed; the browser returns the focus to where it was. */
export function sheet(title, ...children) {
  const close = h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Close");
  const heading = h("h2", { id: "sheet-title", dir: "auto" }, title);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "sheet-title" },
    h("div", { class: "sheet" }, h("div", { class: "sheet-head" }, heading, close), ...children),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function spaced(number, digits = 0) {
  return number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
