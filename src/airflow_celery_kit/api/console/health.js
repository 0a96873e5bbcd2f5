// Runs in: the browser; how well every part is, the worst first: since when, why, what to do.
import { ask, useLook } from "./asking.js";
import { Problem, Rows, Shown, h, moment, span } from "./parts.js";

const { Badge, Box, Flex, Heading, Text } = globalThis.ChakraUI;
const EVERY_SECONDS = 5;
const COLOURS = { Healthy: "green", Degraded: "yellow", Insecure: "purple", Unhealthy: "red", "Permanently Unavailable": "pink" };

export function Health() {
  const [found, problem] = useLook(() => ask("/health"), EVERY_SECONDS, "health");
  return h(Flex, { direction: "column", gap: 4 }, h(Shown, { found, problem }, (seen) => h(Verdicts, { seen })));
}

const State = ({ value }) => h(Badge, { colorPalette: COLOURS[value] ?? "gray", variant: "solid" }, value);

function Verdicts({ seen }) {
  return h(Flex, { direction: "column", gap: 4 },
    seen.reason && h(Problem, { text: seen.reason }),
    h(Flex, { gap: 3, align: "center", role: "status", "aria-live": "polite" }, h(Heading, { size: "sm" }, "The whole stack"), h(State, { value: seen.state }),
      h(Text, null, seen.ready ? "ready: tasks can run" : "not ready: no task can run")),
    h(Box, null, h(Rows, {
      rows: seen.verdicts.map((one) => ({ ...one, id: `${one.check} ${one.subject}` })), empty: "Nothing was looked at yet.", label: "Health",
      columns: [
        ["state", (one) => h(State, { value: one.state })], ["check", (one) => one.check], ["of", (one) => (one.subject === one.check ? "" : one.subject)],
        ["for", (one) => h(Text, { title: moment(one.since) }, span(Math.max(0, (Date.now() - new Date(one.since)) / 1000)))],
        ["why", (one) => one.why], ["what to do", (one) => one.cure],
      ],
    })));
}
