// Asking the service. A refusal is an ApiError with the problem document's sentence.
import { key } from "./key.js";

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? (status ? `the service answered ${status}` : "the service does not answer"));
    this.status = status;
    this.problem = problem;
  }

  /** Whether the store or the service is away, and coming back is all that is needed. */
  get isAway() {
    return this.status === 0 || this.status === 503;
  }
}

const watchers = new Set();

/** Hear of each answer: null when it was one, the error when not. */
export function onAnswer(watcher) {
  watchers.add(watcher);
}

function tell(error) {
  for (const watcher of watchers) watcher(error);
}

export async function ask(path, { method = "GET", body, signal, asText = false } = {}) {
  const headers = {};
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const away = new ApiError(0, null);
    tell(away);
    throw away;
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => null);
    const refused = new ApiError(answer.status, problem);
    if (refused.isAway) tell(refused);
    throw refused;
  }
  tell(null);
  return asText ? answer.text() : answer.json();
}

export function search(body, signal) {
  return ask("/v1/search", { method: "POST", body, signal });
}

export function similar(key, k) {
  return ask(`/v1/contents/${encodeURIComponent(key)}/similar?k=${k}`);
}
