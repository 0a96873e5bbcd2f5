// Runs in: the browser; what waits, what runs, what ended in the last hour.
import { ask, useLook } from "./asking.js";
import { Bar, COLOURS, Go, Rows, Shown, Status, h, span } from "./parts.js";

const { Box, Flex, Heading, SimpleGrid, Text } = globalThis.ChakraUI;
const EVERY_SECONDS = 5;

export function Overview({ go }) {
  const [queues, noQueues] = useLook(() => ask("/queues"), EVERY_SECONDS, "queues");
  const [hour, noHour] = useLook(() => ask("/overview"), EVERY_SECONDS, "overview");
  return h(Flex, { direction: "column", gap: 6 },
    h(Shown, { found: hour, problem: noHour }, (found) => h(Numbers, { found, go })),
    h(Shown, { found: hour, problem: "" }, (found) => h(Minutes, { minutes: found.minutes })),
    h(Box, null, h(Heading, { size: "sm", mb: 2 }, "Queues"),
      h(Shown, { found: queues, problem: noQueues || queues?.reason }, (found) => h(Queues, { queues: found.queues }))),
    h(Box, null, h(Heading, { size: "sm", mb: 2 }, "Workers"),
      h(Shown, { found: queues, problem: "" }, (found) => h(Workers, { workers: found.workers ?? [] }))));
}

// How many attempts are in each status now, and how many ended so within the last hour; each leads to the list of them.
function Numbers({ found, go }) {
  return h(Flex, { direction: "column", gap: 3 },
    found.lost > 0 && h(Text, { color: "red.500", role: "alert" }, `${found.lost} events of the last week are missing: a disk was full, see the log of scheduler and workers`),
    h(Statuses, { found, go }));
}

function Statuses({ found, go }) {
  return h(SimpleGrid, { columns: { base: 2, md: 5 }, gap: 3 }, Object.entries(found.statuses).map(([status, number]) =>
    h(Box, { key: status, borderWidth: 1, borderRadius: "md", p: 3 }, h(Status, { value: status }),
      h(Go, { onGo: () => go("tasks", { status }), "aria-label": `${number} ${status}`, fontSize: "2xl", display: "block", mt: 1 }, String(number)))));
}

// A column for each minute of the last hour: green for what succeeded, red for what did not.
function Minutes({ minutes }) {
  const most = Math.max(1, ...minutes.map((one) => one.done + one.failed));
  const total = minutes.reduce((sum, one) => sum + one.done + one.failed, 0);
  const columns = minutes.map((one, number) => {
    const [done, failed] = [(60 * one.done) / most, (60 * one.failed) / most];
    return h("g", { key: one.at }, h("title", null, `${one.at.slice(11, 16)}: ${one.done} succeeded, ${one.failed} failed`),
      h("rect", { x: number * 10, y: 60 - done - failed, width: 8, height: failed, fill: "var(--chakra-colors-red-500)" }),
      h("rect", { x: number * 10, y: 60 - done, width: 8, height: done, fill: "var(--chakra-colors-green-500)" }));
  });
  return h(Box, null, h(Heading, { size: "sm", mb: 2 }, `Succeeded or failed in the last hour: ${total}`),
    h("svg", { viewBox: "0 0 600 62", width: "100%", height: "90", preserveAspectRatio: "none", role: "img", "aria-label": `${total} attempts ended in the last hour, at most ${most} in a minute` },
      h("line", { x1: 0, x2: 600, y1: 61, y2: 61, stroke: "currentColor", opacity: 0.3 }), columns));
}

function Queues({ queues }) {
  const steps = (queue) => queue.steps.map((step) => ({ name: `step ${step.step}`, size: step.waiting, colour: step.step < 4 ? "red" : step.step < 7 ? "orange" : "yellow" }));
  return h(Rows, {
    rows: queues.map((queue) => ({ ...queue, id: queue.queue })), empty: "No task was ever sent to a queue.", label: "Queues",
    columns: [
      ["queue", (one) => one.queue], ["slots", (one) => one.slots ?? "?"], ["waits in Airflow", (one) => one.scheduled],
      ["oldest", (one) => span(one.scheduled_oldest_seconds)], ["waits in the broker", (one) => one.waiting], ["oldest there", (one) => span(one.oldest_seconds)],
      ["by priority step, 0 first", (one) => h(Bar, { parts: steps(one), label: steps(one).map((part) => `${part.name}: ${part.size}`).join(", ") || "nothing waits" })],
    ],
  });
}

function Workers({ workers }) {
  return h(Rows, {
    rows: workers.map((worker) => ({ ...worker, id: worker.name })), empty: "No worker reports.", label: "Workers",
    columns: [
      ["worker", (one) => one.name], ["", (one) => one.drained ? "takes no task" : ""], ["queues", (one) => one.queues.join(", ")],
      ["slots in use", (one) => h(Flex, { gap: 2, align: "center" }, h(Text, null, `${one.held}/${one.slots}`),
        h(Bar, { label: `${one.held} of ${one.slots} slots in use`, parts: [{ name: "in use", size: Math.min(one.held, one.slots), colour: COLOURS.PROCESSING }, { name: "free", size: Math.max(0, one.slots - one.held) }] }))],
    ],
  });
}
