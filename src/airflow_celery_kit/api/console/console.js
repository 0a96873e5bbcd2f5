// Runs in: the browser, inside Airflow's UI, which gives React, its router and Chakra; the frame of the page and what it shows.
import { Health } from "./health.js";
import { h } from "./parts.js";
import { Overview } from "./overview.js";
import { Task } from "./task.js";
import { Tasks } from "./tasks.js";
import { Workflow } from "./workflow.js";
import { Workflows } from "./workflows.js";

const { Box, Button, Flex, Heading } = globalThis.ChakraUI;
const { useSearchParams } = globalThis.ReactRouterDOM;

// Address, title, and what is shown; what has no title is reached from the others.
const VIEWS = {
  overview: ["Overview", Overview],
  workflows: ["Workflows", Workflows],
  tasks: ["Tasks", Tasks],
  health: ["Health", Health],
  workflow: ["", Workflow],
  task: ["", Task],
};

function Console() {
  const [query, setQuery] = useSearchParams();
  const name = VIEWS[query.get("view")] ? query.get("view") : "overview";
  const go = (view, values = {}) => setQuery({ view, ...values });
  const tabs = Object.entries(VIEWS).filter(([, [title]]) => title).map(([view, [title]]) =>
    h(Button, {
      key: view, size: "sm", variant: view === name ? "solid" : "ghost", "aria-current": view === name ? "page" : undefined,
      onClick: () => go(view),
    }, title));
  return h(Box, { p: 4, height: "100%", overflowY: "auto", "data-testid": "kit-console" },
    h(Flex, { as: "nav", "aria-label": "Tasks and workflows", gap: 2, mb: 4, align: "center", wrap: "wrap" },
      h(Heading, { size: "md", mr: 4 }, "Tasks and workflows"), tabs),
    h(VIEWS[name][1], { key: name, query, go }));
}

globalThis.AirflowPlugin = Console;
