// Runs in: the browser; one Dag run as graph, as timeline and as a list.
import { ask, askAirflow, useLook } from "./asking.js";
import { Bar, COLOURS, Shown, Status, h, nameOf } from "./parts.js";
import { layers } from "./layers.js";
import { HOPS, marksOf } from "./hops.js";
import { TaskRows } from "./tasks.js";
import { Actions, partsOf } from "./workflows.js";

const { Box, Flex, Heading, Text } = globalThis.ChakraUI;
const EVERY_SECONDS = 3;
const MOST = 200;
const [WIDTH, HEIGHT, GAP] = [150, 34, 40];
const [LABELS, PICTURE] = [200, 1180];

export function Workflow({ query, go }) {
  const [dag, run] = [query.get("dag_id"), query.get("run_id")];
  const path = `/workflows/${encodeURIComponent(dag)}/${encodeURIComponent(run)}`;
  const [found, problem, again] = useLook(() => ask(path), EVERY_SECONDS, `${dag} ${run}`);
  const [page, noTasks] = useLook(() => ask("/tasks", { dag_id: dag, run_id: run, limit: 500 }), EVERY_SECONDS, `tasks ${dag} ${run}`);
  const [graph] = useLook(() => askAirflow(`/dags/${encodeURIComponent(dag)}/tasks`), 60, dag);
  const newest = (page?.tasks ?? []).filter((task) => !task.replaced_by);
  return h(Flex, { direction: "column", gap: 5 },
    h(Shown, { found, problem }, (one) => h(Flex, { direction: "column", gap: 3 },
      h(Flex, { gap: 3, align: "center", wrap: "wrap" }, h(Status, { value: one.paused && !one.completed_at ? "paused" : one.state }), h(Heading, { size: "md" }, one.dag_id),
        h(Text, null, one.run_id), h(Text, null, `${one.progress} done`), one.user_name && h(Text, { color: "fg.muted" }, `asked by ${one.user_name}`)),
      h(Bar, { parts: partsOf(one), label: `${one.progress} tasks done`, height: "1rem" }), h(Actions, { run: one, again }))),
    (found?.graph || graph) && h(Part, { title: found?.graph ? `Graph, version ${found.graph.number}` : "Graph" },
      h(Graph, { tasks: found?.graph ? withDownstream(found.graph.tasks) : graph.tasks, attempts: newest, go })),
    h(Shown, { found: page, problem: noTasks }, (one) => [
      h(Part, { key: "time", title: "Timeline" }, h(Timeline, { tasks: one.tasks.slice(0, MOST), go })),
      h(Part, { key: "list", title: "Attempts" }, h(TaskRows, { tasks: one.tasks, go })),
    ]));
}

// What is on record says what each task comes after; Airflow's own answer, what comes after it.
const withDownstream = (tasks) => tasks.map((task) => ({
  ...task, downstream_task_ids: tasks.filter((other) => other.upstream.includes(task.task_id)).map((other) => other.task_id),
}));
const Part = ({ title, children }) => h(Box, null, h(Heading, { size: "sm", mb: 2 }, title), children);
const fill = (colour) => `var(--chakra-colors-${colour}-500)`;
const pressed = (go) => (event) => (event.key === "Enter" || event.key === " ") && go();

// A box for each task, as far to the right as tasks come before it; mapped tasks share one, and it has the colours of all.
function Graph({ tasks, attempts, go }) {
  const placed = layers(Object.fromEntries(tasks.map((task) => [task.task_id, task.downstream_task_ids ?? []])));
  const place = Object.fromEntries(placed.flatMap((column, x) => column.map((name, y) => [name, [x * (WIDTH + GAP), y * (HEIGHT + 12)]])));
  const size = [placed.length * (WIDTH + GAP), Math.max(...placed.map((column) => column.length), 1) * (HEIGHT + 12)];
  const lines = tasks.flatMap((task) => (task.downstream_task_ids ?? []).map((after) => {
    const [[x, y], [u, v]] = [place[task.task_id], place[after]];
    const path = `M${x + WIDTH},${y + HEIGHT / 2} C${x + WIDTH + 20},${y + HEIGHT / 2} ${u - 20},${v + HEIGHT / 2} ${u},${v + HEIGHT / 2}`;
    return h("path", { key: `${task.task_id} ${after}`, d: path, fill: "none", stroke: "currentColor", opacity: 0.4 });
  }));
  const boxes = tasks.map((task) => {
    const [[x, y], own] = [place[task.task_id], attempts.filter((one) => one.task_id === task.task_id)];
    const first = () => own[0] && go("task", { id: own[0].id });
    const said = own.length > 1 ? `${task.task_id}, ${own.length} mapped` : `${task.task_id}, ${own[0]?.status ?? "not asked for"}`;
    return h("g", { key: task.task_id, role: "button", tabIndex: 0, "aria-label": said, onClick: first, onKeyDown: pressed(first), style: { cursor: "pointer" } },
      h("title", null, said), own.map((one, number) => h("rect", {
        key: one.id, x: x + (number * WIDTH) / own.length, y, width: WIDTH / own.length, height: HEIGHT, fill: fill(COLOURS[one.status]), opacity: 0.75,
      })),
      h("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 4, fill: "none", stroke: "currentColor" }),
      h("text", { x: x + WIDTH / 2, y: y + HEIGHT / 2 + 4, textAnchor: "middle", fontSize: 12, fill: "currentColor" }, task.task_id.length > 22 ? `${task.task_id.slice(0, 21)}…` : task.task_id));
  });
  return h(Box, { overflowX: "auto" }, h("svg", { width: size[0], height: size[1], role: "group", "aria-label": "Graph" }, lines, boxes));
}

// A row for each attempt, a colour for each hop.
function Timeline({ tasks, go }) {
  const [known, now] = [[...tasks].reverse(), Date.now()];
  const times = known.flatMap((task) => marksOf(task, now).map(([at]) => at));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const x = (at) => LABELS + (PICTURE * (at - first)) / Math.max(1, last - first);
  const rows = known.map((task, number) => {
    const marks = marksOf(task, now);
    const open = () => go("task", { id: task.id });
    return h("g", { key: task.id, role: "button", tabIndex: 0, "aria-label": `${nameOf(task)} try ${task.attempt}, ${task.status}`, onClick: open, onKeyDown: pressed(open), style: { cursor: "pointer" } },
      h("text", { x: LABELS - 8, y: number * 18 + 13, textAnchor: "end", fontSize: 11, fill: "currentColor" }, `${nameOf(task)} ${task.attempt > 1 ? `#${task.attempt}` : ""}`),
      marks.slice(0, -1).map(([at, hop], place) => h("rect", { key: place, x: x(at), y: number * 18 + 3, height: 12, width: Math.max(1, x(marks[place + 1][0]) - x(at)), fill: fill(HOPS[hop]) }, h("title", null, `${hop} ${((marks[place + 1][0] - at) / 1000).toFixed(2)} s`))));
  });
  const legend = Object.entries(HOPS).map(([hop, colour]) => h(Flex, { key: hop, gap: 1, align: "center" }, h(Box, { w: "0.75rem", h: "0.75rem", bg: `${colour}.500` }), h(Text, { fontSize: "xs" }, hop)));
  return h(Box, null, h(Flex, { gap: 3, wrap: "wrap", mb: 1 }, legend),
    h("svg", { viewBox: `0 0 ${LABELS + PICTURE + 4} ${known.length * 18 + 4}`, width: "100%", role: "group", "aria-label": "Timeline" }, rows));
}
