// Runs in: the browser; the hops of an attempt as they are coloured in every picture, also the one that goes on.
// From the first to the last, with the time at which each begins.
const BEGINNINGS = {
  created_at: "until it was due", due_at: "waiting in Airflow", queued_at: "on its way to the broker", published_at: "waiting in the broker", received_at: "starting",
  started_at: "running",
};
export const HOPS = {
  "until it was due": "gray", "waiting in Airflow": "yellow", "on its way to the broker": "orange", "waiting in the broker": "red", starting: "purple", running: "cyan",
};
// As core/journal/open_hop.py says it.
const OPEN = { PENDING: ["created_at", "due_at"], QUEUED: ["queued_at", "published_at"], RECEIVED: ["received_at"], PROCESSING: ["started_at"] };

// What an attempt does now: which hop, and since when; null where it has ended.
export function openHop(task) {
  const latest = (names) => names.filter((name) => task[name]).map((name) => [+new Date(task[name]), name]).sort(([a], [b]) => a - b).at(-1);
  const found = latest(OPEN[task.status] ?? []);
  if (!found) return null;
  const newest = latest(Object.keys(BEGINNINGS));
  const [since, name] = task.status === "PENDING" && newest[0] > found[0] ? [newest[0], "created_at"] : found;
  return { hop: BEGINNINGS[name], since };
}

// Where each hop begins, in milliseconds, and where the last one ends: now, while it goes on.
export function marksOf(task, now) {
  const known = Object.entries(BEGINNINGS).filter(([name]) => task[name]).map(([name, hop]) => [+new Date(task[name]), hop]);
  const present = openHop(task);
  const past = present ? known.filter(([at]) => at < present.since) : known;
  const end = present ? Math.max(now, present.since) : +new Date(task.completed_at ?? task.changed_at);
  return [...past, ...(present ? [[present.since, present.hop]] : []), [end, ""]];
}
