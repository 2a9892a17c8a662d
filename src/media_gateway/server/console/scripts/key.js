// The key that changes are signed with: from the address's fragment, which no server sees, or typed in.
import { byId, h, sheet } from "./dom.js";

const NAME = "media-gateway-key";
const USERS = "media-gateway-users";
const listeners = new Set();

/** Take the key out of the address, and the names of users to offer where it brings some. */
export function takeKeyFromAddress() {
  const brought = new URLSearchParams(location.hash.slice(1));
  if (!brought.get("key")) return;
  sessionStorage.setItem(NAME, brought.get("key"));
  if (brought.get("users")) sessionStorage.setItem(USERS, brought.get("users"));
  history.replaceState(null, "", location.pathname + location.search);
}

export function usersBrought() {
  return (sessionStorage.getItem(USERS) ?? "").split(",").filter(Boolean);
}

export function key() {
  return sessionStorage.getItem(NAME);
}

export function onKey(listener) {
  listeners.add(listener);
}

function setKey(value) {
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
  show();
  for (const listener of listeners) listener();
}

export function show() {
  byId("key-button").textContent = key() ? "Key set" : "Key";
}

export function askForKey() {
  const input = h("input", { type: "password", autocomplete: "off", id: "key-input", value: key() ?? "" });
  const form = h(
    "form",
    {
      method: "dialog",
      onsubmit: () => setKey(input.value.trim()),
    },
    h("p", { class: "soft" }, "Reading needs no key on this machine. Changes need one; media-gateway keys create makes it. It is kept until this tab is closed."),
    h("div", { class: "field" }, h("label", { for: "key-input" }, "Key"), input),
    h(
      "div",
      { class: "actions" },
      h("button", { class: "button primary", type: "submit" }, "Use it"),
      h("button", { class: "button", type: "button", onclick: () => { setKey(""); dialog.close(); } }, "Forget it"),
    ),
  );
  form.classList.add("sheet-form");
  const dialog = sheet("Key", form);
  input.focus();
}
