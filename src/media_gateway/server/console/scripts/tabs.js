// The tabs: by pointer, by arrow keys, and remembered in the address.
import { byId } from "./dom.js";

const tabs = () => [...document.querySelectorAll('[role="tab"]')].filter((tab) => !tab.hidden);

export function startTabs(onShow) {
  const show = (tab, takesFocus = false) => {
    for (const one of document.querySelectorAll('[role="tab"]')) {
      const isIt = one === tab;
      one.setAttribute("aria-selected", String(isIt));
      one.tabIndex = isIt ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !isIt;
    }
    const name = tab.getAttribute("aria-controls");
    history.replaceState(null, "", name === "discover" ? location.pathname : `#${name}`);
    document.title = `${tab.textContent} · media-gateway`;
    if (takesFocus) tab.focus();
    onShow(name);
  };
  for (const tab of document.querySelectorAll('[role="tab"]')) tab.addEventListener("click", () => show(tab));
  document.querySelector('[role="tablist"]').addEventListener("keydown", (event) => {
    const some = tabs();
    const at = some.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: some.length - 1 }[event.key];
    if (next === undefined || at < 0) return;
    event.preventDefault();
    show(some[(next + some.length) % some.length], true);
  });
  const named = byId(`tab-${location.hash.slice(1)}`);
  show(named && !named.hidden ? named : byId("tab-discover"));
}
