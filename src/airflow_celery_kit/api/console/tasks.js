// Runs in: the browser; attempts of tasks, narrowed by what one looks for.
import { ask, useLook } from "./asking.js";
import { Go, Rows, Shown, Status, h, moment, nameOf, took, whereOf } from "./parts.js";

const { Button, Field, Flex, Input, NativeSelect } = globalThis.ChakraUI;
const { useState } = globalThis.React;
const EVERY_SECONDS = 5;
const STATUSES = ["PENDING", "QUEUED", "RECEIVED", "PROCESSING", "SUCCESS", "NO_DATA", "FAILURE", "TIMEOUT", "RETRY", "CANCELLED"];
const WORDS = { dag_id: "Dag", run_id: "run", task_id: "task", worker: "worker", error: "error has" };
const ID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export function Tasks({ query, go }) {
  const wanted = Object.fromEntries([...Object.keys(WORDS), "status", "cursor"].map((name) => [name, query.get(name) ?? ""]));
  const [found, problem] = useLook(() => ask("/tasks", wanted), EVERY_SECONDS, JSON.stringify(wanted));
  return h(Flex, { direction: "column", gap: 4 }, h(Search, { wanted, go }),
    h(Shown, { found, problem }, (page) => [
      h(TaskRows, { key: "rows", tasks: page.tasks, go }),
      h(Flex, { key: "pages", gap: 2, mt: 3 },
        wanted.cursor && h(Button, { size: "xs", variant: "outline", onClick: () => go("tasks", { ...wanted, cursor: "" }) }, "Newest"),
        page.next && h(Button, { size: "xs", variant: "outline", onClick: () => go("tasks", { ...wanted, cursor: page.next }) }, "Older")),
    ]));
}

function Search({ wanted, go }) {
  const [words, setWords] = useState(wanted);
  const [id, setId] = useState("");
  const look = (event) => {
    event.preventDefault();
    if (ID.test(id.trim())) go("task", { id: id.trim() });
    else go("tasks", { ...words, cursor: "" });
  };
  const field = (name, label, value, change) => h(Field.Root, { key: name, width: "auto" }, h(Field.Label, null, label),
    h(Input, { size: "sm", name, value, onChange: (event) => change(event.target.value) }));
  return h("form", { onSubmit: look, role: "search", "aria-label": "Tasks" }, h(Flex, { gap: 3, wrap: "wrap", align: "end" },
    h(Field.Root, { width: "auto" }, h(Field.Label, null, "status"), h(NativeSelect.Root, { size: "sm", width: "10rem" },
      h(NativeSelect.Field, { name: "status", value: words.status, onChange: (event) => setWords({ ...words, status: event.target.value }) },
        ["", ...STATUSES].map((status) => h("option", { key: status, value: status }, status || "any"))))),
    Object.entries(WORDS).map(([name, label]) => field(name, label, words[name], (value) => setWords({ ...words, [name]: value }))),
    field("id", "or its id", id, setId),
    h(Button, { size: "sm", type: "submit" }, "Look")));
}

export function TaskRows({ tasks, go }) {
  return h(Rows, {
    rows: tasks, empty: "No such task is on record.", label: "Tasks",
    columns: [
      ["status", (one) => h(Status, { value: one.status })],
      ["task", (one) => h(Go, { onGo: () => go("task", { id: one.id }) }, nameOf(one))],
      ["Dag", (one) => one.dag_id],
      ["run", (one) => h(Go, { onGo: () => go("workflow", { dag_id: one.dag_id, run_id: one.run_id }) }, one.run_id)],
      ["try", (one) => one.attempt], ["queue", (one) => one.queue], ["worker", whereOf], ["asked for", (one) => moment(one.created_at)],
      ["took", took],
    ],
  });
}
