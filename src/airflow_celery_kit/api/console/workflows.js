// Runs in: the browser; Dag runs with how far they are, and a way to start one.
import { ask, send, useLook } from "./asking.js";
import { Act, Bar, COLOURS, Go, Rows, Shown, Status, h, moment, took } from "./parts.js";

const { Button, Field, Flex, Input } = globalThis.ChakraUI;
const { useState } = globalThis.React;
const EVERY_SECONDS = 3;

export function Workflows({ query, go }) {
  const wanted = { dag_id: query.get("dag_id") ?? "", cursor: query.get("cursor") ?? "" };
  const [found, problem, again] = useLook(() => ask("/workflows", wanted), EVERY_SECONDS, JSON.stringify(wanted));
  return h(Flex, { direction: "column", gap: 4 }, h(Start, { dag: wanted.dag_id, go }),
    h(Shown, { found, problem }, (page) => [
      h(RunRows, { key: "rows", runs: page.workflows, go, again }),
      h(Flex, { key: "pages", gap: 2, mt: 3 },
        wanted.cursor && h(Button, { size: "xs", variant: "outline", onClick: () => go("workflows", { dag_id: wanted.dag_id }) }, "Newest"),
        page.next && h(Button, { size: "xs", variant: "outline", onClick: () => go("workflows", { dag_id: wanted.dag_id, cursor: page.next }) }, "Older")),
    ]));
}

function Start({ dag, go }) {
  const [name, setName] = useState(dag);
  const look = (event) => { event.preventDefault(); go("workflows", { dag_id: name }); };
  return h("form", { onSubmit: look, role: "search", "aria-label": "Workflows" }, h(Flex, { gap: 3, align: "end", wrap: "wrap" },
    h(Field.Root, { width: "auto" }, h(Field.Label, null, "Dag"), h(Input, { size: "sm", name: "dag_id", value: name, onChange: (event) => setName(event.target.value) })),
    h(Button, { size: "sm", type: "submit", variant: "outline" }, "Look"),
    h(Act, { label: "Start a run", disabled: !name, act: () => send("/workflows", { dag_id: name }), then: (found) => go("workflow", found) })));
}

export const partsOf = (run) => Object.entries(run.counts).map(([name, size]) => ({ name, size, colour: COLOURS[name] }));

function RunRows({ runs, go, again }) {
  return h(Rows, {
    rows: runs, empty: "No such run is on record.", label: "Workflows",
    columns: [
      ["state", (one) => h(Status, { value: one.paused && !one.completed_at ? "paused" : one.state })],
      ["Dag", (one) => one.dag_id], ["run", (one) => h(Go, { onGo: () => go("workflow", { dag_id: one.dag_id, run_id: one.run_id }) }, one.run_id)],
      ["done", (one) => h(Flex, { gap: 2, align: "center" }, one.progress, h(Bar, { parts: partsOf(one), label: `${one.progress} tasks done` }))],
      ["asked by", (one) => one.user_name ?? one.asked_by], ["asked for", (one) => moment(one.created_at)], ["took", took],
      ["", (one) => h(Actions, { run: one, again })],
    ],
  });
}

// What can be done with a run as it is now.
export function Actions({ run, again }) {
  const path = `/workflows/${encodeURIComponent(run.dag_id)}/${encodeURIComponent(run.run_id)}`;
  const act = (label, verb, question) => h(Act, { key: verb, label, question, act: () => send(`${path}/${verb}`), then: again });
  const open = !["success", "failed"].includes(run.state);
  return h(Flex, { gap: 2, wrap: "wrap" },
    open && (run.paused ? act("Resume", "resume") : act("Pause", "pause")),
    open && act("Cancel", "cancel", "End all that runs and waits?"),
    run.state === "failed" && act("Retry what failed", "retry", "Run again what failed and what depends on it?"));
}
