// The console: starts its parts, and says whether the service can answer.
import { ask, onAnswer } from "./api.js";
import { refreshDiscover, startDiscover } from "./discover.js";
import { byId, spaced } from "./dom.js";
import { askForKey, show as showKey, takeKeyFromAddress } from "./key.js";
import { showOperations, startOperations } from "./operations.js";
import { isLearning, startPeople } from "./people.js";
import { loadGenres } from "./records.js";
import { startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";

const EVERY = 15000;
const SOON = 1000;
let isAway = false;
let timer = 0;

function say(state, text) {
  byId("state").dataset.state = state;
  byId("state-text").textContent = text;
}

async function look() {
  clearTimeout(timer);
  try {
    const stats = await ask("/v1/stats");
    if (isAway) {
      isAway = false;
      byId("banner").hidden = true;
      refreshDiscover();
    }
    say("ready", `${stats.backend} · ${spaced(stats.count)} titles`);
    await offerPeople();
  } catch (error) {
    if (!error.isAway) say("away", "refused");
  }
  timer = setTimeout(look, isAway ? SOON : EVERY);
}

async function offerPeople() {
  const tab = byId("tab-people");
  if (tab.hidden && (await isLearning())) tab.hidden = false;
}

function heard(error) {
  if (error === null || isAway) return;
  isAway = true;
  say("away", "not answering");
  const banner = byId("banner");
  banner.textContent = error.status === 0 ? "The service does not answer. This page goes on by itself when it is back." : `${sentence(error.message)} This page goes on by itself when it is back.`;
  banner.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(look, SOON);
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

takeKeyFromAddress();
showKey();
startTheme();
byId("key-button").addEventListener("click", askForKey);
onAnswer(heard);
await loadGenres();
startDiscover();
startPeople();
startOperations();
startTabs((name) => showOperations(name === "operations"));
look();
