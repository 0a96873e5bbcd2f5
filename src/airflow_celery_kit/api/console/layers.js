// Runs in: the browser; which column of a graph each task stands in. Pure.

// Takes what comes after each task; returns columns of names, each task right of all that come before it.
export function layers(after) {
  const names = Object.keys(after);
  const before = Object.fromEntries(names.map((name) => [name, 0]));
  names.forEach((name) => after[name].forEach((next) => { before[next] += 1; }));
  const depth = Object.fromEntries(names.map((name) => [name, 0]));
  const ready = names.filter((name) => !before[name]);
  for (let name = ready.shift(); name !== undefined; name = ready.shift()) {
    for (const next of after[name]) {
      depth[next] = Math.max(depth[next], depth[name] + 1);
      before[next] -= 1;
      if (!before[next]) ready.push(next);
    }
  }
  const columns = [];
  names.forEach((name) => { (columns[depth[name]] ??= []).push(name); });
  return columns;
}
