// Metrics in Prometheus' text form, and what follows from two readings of them.
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const PREFIX = "media_gateway_";

/** A reading: its time in seconds, and the samples of each name. */
export function reading(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = LINE.exec(line);
    if (!found || !found[1].startsWith(PREFIX)) continue;
    const name = found[1].slice(PREFIX.length);
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, key, value]) => [key, value]));
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(found[3]) });
  }
  return { time: performance.now() / 1000, samples };
}

function matching(one, name, wanted) {
  return (one.samples.get(name) ?? []).filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value));
}

/** The sum of the samples of *name* with the labels *wanted*; null where there is none. */
export function value(one, name, wanted = {}) {
  const found = matching(one, name, wanted);
  return found.length ? found.reduce((sum, sample) => sum + sample.value, 0) : null;
}

/** The lowest of the samples of *name*, as a rollout has two stores; null where there is none. */
export function lowest(one, name) {
  const found = samplesOf(one, name);
  return found.length ? Math.min(...found.map((sample) => sample.value)) : null;
}

export function samplesOf(one, name) {
  return one.samples.get(name) ?? [];
}

export function increase(former, latter, name, wanted = {}) {
  return (value(latter, name, wanted) ?? 0) - (value(former, name, wanted) ?? 0);
}

/** The quantiles *shares* of what a histogram took in between two readings; null where nothing came. */
export function quantiles(former, latter, name, wanted, shares) {
  const counts = new Map();
  for (const [one, sign] of [[latter, 1], [former, -1]]) {
    for (const { labels, value: count } of matching(one, `${name}_bucket`, wanted)) {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      counts.set(bound, (counts.get(bound) ?? 0) + sign * count);
    }
  }
  const bounds = [...counts.keys()].sort((one, other) => one - other);
  const total = counts.get(Infinity) ?? 0;
  if (total <= 0) return null;
  return shares.map((share) => {
    const rank = share * total;
    let low = 0;
    let below = 0;
    for (const bound of bounds) {
      const count = counts.get(bound);
      if (count >= rank) {
        if (bound === Infinity) return low;
        return count === below ? bound : low + ((bound - low) * (rank - below)) / (count - below);
      }
      low = bound;
      below = count;
    }
    return low;
  });
}
