// Runs in: the browser; asks the kit's REST API, again and again while the page is looked at.
const { useCallback, useEffect, useState } = globalThis.React;

const ROOT = new URL("kit/v1", document.baseURI).href;
const AIRFLOW = new URL("api/v2", document.baseURI).href;

async function answered(address, options = {}) {
  const answer = await fetch(address, { credentials: "same-origin", ...options });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error(typeof said.detail === "string" ? said.detail : `the api-server answers ${answer.status}`);
  }
  return said;
}

// What is empty is not asked for.
function withQuery(path, values = {}) {
  const given = Object.entries(values).flatMap(([name, value]) => [value].flat().map((one) => [name, one])).filter(([, one]) => one);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export const ask = (path, values) => answered(ROOT + withQuery(path, values));
export const askAirflow = (path, values) => answered(AIRFLOW + withQuery(path, values));
export const send = (path, body = {}) =>
  answered(ROOT + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// Gives what `look` found last, why the last look failed, and a way to look now. A page that nobody sees does not look.
export function useLook(look, seconds, key) {
  const [seen, setSeen] = useState({ key });
  const now = useCallback(() => look().then(
    (found) => setSeen({ key, found }),
    (problem) => setSeen((before) => ({ key, found: before.key === key ? before.found : undefined, problem: problem.message })),
  ), [key]);
  useEffect(() => {
    now();
    const timer = setInterval(() => document.visibilityState === "visible" && now(), seconds * 1000);
    return () => clearInterval(timer);
  }, [now, seconds]);
  return [seen.key === key ? seen.found : undefined, seen.problem, now];
}
