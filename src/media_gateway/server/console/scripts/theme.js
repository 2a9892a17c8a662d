// Light or dark: as the system has it, until it is chosen.
import { byId } from "./dom.js";

const NAME = "media-gateway-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const theme = localStorage.getItem(NAME) ?? (system.matches ? "dark" : "light");
  const other = theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  const button = byId("theme-button");
  button.textContent = other === "dark" ? "Dark" : "Light";
  button.setAttribute("aria-label", `Change to ${other} colours`);
  button.onclick = () => {
    localStorage.setItem(NAME, other);
    apply();
  };
}

export function startTheme() {
  system.addEventListener("change", apply);
  apply();
}
