// Runs in: the browser; small parts that every view is made of.
const { createElement, useState } = globalThis.React;
const { Alert, Badge, Box, Button, Flex, Link, Spinner, Table, Text } = globalThis.ChakraUI;

export const h = createElement;

export const COLOURS = {
  PENDING: "gray", QUEUED: "yellow", RECEIVED: "orange", PROCESSING: "cyan", SUCCESS: "green", NO_DATA: "teal", FAILURE: "red",
  TIMEOUT: "pink", CANCELLED: "purple", RETRY: "blue",
  queued: "yellow", running: "cyan", success: "green", failed: "red", paused: "orange",
};

export const Status = ({ value }) => h(Badge, { colorPalette: COLOURS[value] ?? "gray", variant: "solid" }, value);

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
  }
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}

export const between = (begun, ended) => (begun && ended ? Math.max(0, (new Date(ended) - new Date(begun)) / 1000) : null);
// How long it took, or takes so far.
export const took = (one) =>
  (one.started_at && !one.completed_at && one.status !== "PENDING" ? `${span(between(one.started_at, new Date()))} so far` : span(between(one.started_at, one.completed_at)));
// Until a worker takes it, Airflow names the one of the try before.
export const whereOf = (task) => (task.received_at || task.started_at ? task.worker : null);
export const moment = (at) => (at ? new Date(at).toLocaleString() : "");
export const nameOf = (task) => task.task_id + (task.map_index >= 0 ? `[${task.map_index}]` : "");

// A wait, a failure in one sentence, or what was found.
export function Shown({ found, problem, children }) {
  const parts = [];
  if (problem) parts.push(h(Problem, { key: "problem", text: problem }));
  if (found) parts.push(h(Box, { key: "found" }, children(found)));
  if (!found && !problem) parts.push(h(Spinner, { key: "wait", "aria-label": "loading" }));
  return parts;
}

export const Problem = ({ text }) => h(Alert.Root, { status: "error", mb: 3, role: "alert" }, h(Alert.Indicator), h(Alert.Title, null, text));

// Columns are pairs of a title and what a row shows there.
export function Rows({ columns, rows, empty, label }) {
  if (!rows.length) return h(Text, { color: "fg.muted" }, empty);
  const head = h(Table.Row, null, columns.map(([title]) => h(Table.ColumnHeader, { key: title }, title)));
  const body = rows.map((row, number) => h(Table.Row, { key: row.id ?? `${row.dag_id} ${row.run_id} ${number}` },
    columns.map(([title, shown]) => h(Table.Cell, { key: title }, shown(row)))));
  return h(Table.ScrollArea, null, h(Table.Root, { size: "sm", "aria-label": label }, h(Table.Header, null, head), h(Table.Body, null, body)));
}

export const Go = ({ onGo, children, ...more }) =>
  h(Link, { as: "button", type: "button", variant: "underline", onClick: onGo, ...more }, children);

// A bar of parts that stand to each other as their numbers do; each says what it is. One without a colour is what is left.
export function Bar({ parts, label, height = "0.75rem" }) {
  const total = parts.reduce((sum, part) => sum + part.size, 0);
  return h(Flex, { role: "img", "aria-label": label, height, borderRadius: "sm", overflow: "hidden", bg: "bg.emphasized", minW: "6rem" },
    total ? parts.filter((part) => part.size > 0).map((part, place) => h(Box, {
      key: place, title: `${part.name}: ${part.shown ?? part.size}`, bg: part.colour ? `${part.colour}.500` : "transparent", width: `${(100 * part.size) / total}%`,
    })) : null);
}

// A button that asks once more, does it, and says what came of it.
export function Act({ label, question, act, then, ...more }) {
  const [state, setState] = useState({ step: "idle" });
  const go = () => {
    setState({ step: "busy" });
    act().then((found) => { setState({ step: "idle", said: "done" }); then?.(found); }, (problem) => setState({ step: "idle", problem: problem.message }));
  };
  if (state.step === "sure") {
    return h(Flex, { gap: 2, align: "center" }, h(Text, null, question),
      h(Button, { size: "xs", colorPalette: "red", autoFocus: true, onClick: go }, `Yes, ${label.toLowerCase()}`),
      h(Button, { size: "xs", variant: "outline", onClick: () => setState({ step: "idle" }) }, "No"));
  }
  return h(Flex, { gap: 2, align: "center" },
    h(Button, { size: "xs", variant: "outline", loading: state.step === "busy", onClick: () => (question ? setState({ step: "sure" }) : go()), ...more }, label),
    h(Text, { role: "status", color: state.problem ? "fg.error" : "fg.muted" }, state.problem ?? state.said ?? ""));
}
