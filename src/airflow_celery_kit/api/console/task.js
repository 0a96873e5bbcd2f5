// Runs in: the browser; one attempt: its hops, what happened, its error, what can be done about it.
import { ask, send, useLook } from "./asking.js";
import { HOPS, openHop } from "./hops.js";
import { Act, Bar, Go, Rows, Shown, Status, h, moment, nameOf, span, whereOf } from "./parts.js";

const { Box, Code, Flex, Heading, Link, Text } = globalThis.ChakraUI;
const { Link: RouterLink } = globalThis.ReactRouterDOM;
const EVERY_SECONDS = 3;
const OPEN = ["PENDING", "QUEUED", "RECEIVED", "PROCESSING"];
export function Task({ query, go }) {
  const id = query.get("id");
  const path = `/tasks/${encodeURIComponent(id)}`;
  const [task, problem, again] = useLook(() => ask(path), EVERY_SECONDS, id);
  const [said, unsaid] = useLook(() => ask(`${path}/events`), EVERY_SECONDS, id);
  return h(Flex, { direction: "column", gap: 5 },
    h(Shown, { found: task, problem }, (found) => h(Story, { task: found, go, again })),
    h(Shown, { found: said, problem: unsaid }, (found) => h(Events, { events: found.events })));
}

function Story({ task, go, again }) {
  const parts = task.hops.map((hop) => ({ name: hop.hop, size: hop.seconds, shown: span(hop.seconds), colour: HOPS[hop.hop] }));
  const present = openHop(task);
  if (present) {
    const seconds = Math.max(0, (Date.now() - present.since) / 1000);
    parts.push({ name: present.hop, size: seconds, shown: `${span(seconds)} so far`, colour: HOPS[present.hop] });
  }
  const path = `/tasks/${encodeURIComponent(task.id)}`;
  const [dag, run, name] = [task.dag_id, task.run_id, task.task_id].map(encodeURIComponent);
  const log = `/dags/${dag}/runs/${run}/tasks/${name}` + (task.map_index >= 0 ? `/mapped/${task.map_index}` : "");
  return h(Flex, { direction: "column", gap: 4 },
    h(Flex, { gap: 3, align: "center", wrap: "wrap" }, h(Status, { value: task.status }), h(Heading, { size: "md" }, nameOf(task)),
      h(Go, { onGo: () => go("workflow", { dag_id: task.dag_id, run_id: task.run_id }) }, `${task.dag_id} ${task.run_id}`), h(Text, null, `try ${task.attempt}`),
      h(Link, { as: RouterLink, to: `${log}?try_number=${task.attempt}`, variant: "underline" }, "Log"),
      task.instead_of && h(Go, { onGo: () => go("task", { id: task.instead_of }) }, "the attempt before"),
      task.replaced_by && h(Go, { onGo: () => go("task", { id: task.replaced_by }) }, "the attempt after")),
    h(Flex, { gap: 4 },
      OPEN.includes(task.status) && h(Act, { label: "Cancel", question: "End this attempt?", act: () => send(`${path}/cancel`), then: again }),
      !OPEN.includes(task.status) && !task.replaced_by && h(Act, {
        label: "Retry", question: "Run this task again?", act: () => send(`${path}/retry`), then: (found) => go("task", { id: found.id }),
      })),
    h(Box, null, h(Bar, { parts, height: "1.25rem", label: parts.map((part) => `${part.name} ${part.shown}`).join(", ") }),
      h(Flex, { gap: 4, wrap: "wrap", mt: 2 }, parts.map((part, place) => h(Flex, { key: place, gap: 1, align: "center" },
        h(Box, { w: "0.75rem", h: "0.75rem", bg: `${part.colour}.500` }), h(Text, { fontSize: "sm" }, `${part.name} ${part.shown}`))))),
    task.progress && h(Told, { progress: task.progress }),
    h(Facts, { task }),
    task.error && h(Box, null, h(Heading, { size: "sm" }, "Error"), h(Code, { as: "pre", whiteSpace: "pre-wrap", p: 3, display: "block", colorPalette: "red" }, task.trace || task.error)));
}

function Told({ progress }) {
  const total = progress.total ?? progress.done;
  return h(Box, null, h(Text, { fontSize: "sm" }, `${progress.done}${progress.total ? ` of ${progress.total}` : ""} ${progress.note ?? ""}`),
    h(Bar, { label: `${progress.done} of ${total}`, parts: [{ name: "done", size: progress.done, colour: "green" }, { name: "left", size: total - progress.done }] }));
}

function Facts({ task }) {
  const shown = {
    worker: whereOf(task), queue: task.queue, "priority weight": task.priority, operator: task.operator, "Celery id": task.message,
    "asked for": moment(task.created_at), ended: moment(task.completed_at), result: task.result && JSON.stringify(task.result), input: task.input && JSON.stringify(task.input.fields),
  };
  return h(Rows, {
    label: "Facts", empty: "", rows: Object.entries(shown).filter(([, value]) => value).map(([id, value]) => ({ id, value })),
    columns: [["", (one) => one.id], [" ", (one) => h(Text, { wordBreak: "break-word" }, String(one.value))]],
  });
}

function Events({ events }) {
  const figures = (one) => (Array.isArray(one.facts.series) ? one.facts.series : []).map((figure) => `${figure?.name} ${figure?.value}`);
  const facts = (one) => one.kind === "metric" ? figures(one) : Object.entries(one.facts).filter(([name]) => !["trace", "fields"].includes(name)).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return h(Box, null, h(Heading, { size: "sm", mb: 2 }, "What happened"), h(Rows, {
    rows: events, label: "Events", empty: "Nothing is on record.",
    columns: [["at", (one) => one.at.slice(11, 23)], ["who", (one) => one.source], ["what", (one) => one.kind], ["where", (one) => one.worker ?? ""], ["", (one) => facts(one).join(", ")]],
  }));
}
