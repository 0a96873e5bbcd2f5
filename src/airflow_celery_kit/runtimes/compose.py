"""Runs in: the command line; the stack as containers, through docker-compose.yml."""

import json
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_celery_kit import env_file
from airflow_celery_kit.errors import KitError, MachineError, NotReadyError, NotRunningError
from airflow_celery_kit.runtimes import docker_engine, images, leaving, ports, services
from airflow_celery_kit.runtimes.base import Instance, Say
from airflow_celery_kit.settings import Settings

LABEL = "com.docker.compose"
# Compose writes it before log lines, terminal or not.
ERASE_LINE = "\x1b[2K"
PUBLISHED = {"AIRFLOW_PORT": "airflow-apiserver", "FLOWER_PORT": "airflow-flower"}
# Those that are there in some profiles alone, and the address that they are bound to whatever BIND_ADDRESS says.
OF_PROFILES = {
    "PROMETHEUS_PORT": ("prometheus", {"observability", "prometheus"}),
    "GRAFANA_PORT": ("grafana", {"observability"}),
}
LOOPBACK = "127.0.0.1"


@dataclass
class Compose:
    """Implements `base.Runtime`."""

    settings: Settings
    name: str = "compose"

    def expected(self) -> list[str]:
        """See `base.Runtime`. Services that a user added to the file count."""
        described = json.loads(docker_engine.run("compose", "config", "--format", "json", cwd=str(self.settings.root)))[
            "services"
        ]
        counts = {
            name: service.get("deploy", {}).get("replicas", 1)
            for name, service in described.items()
            if name != "airflow-init"
        }
        return [f"{name}-{number}" for name, count in counts.items() for number in range(1, count + 1)]

    def start(self, say: Say) -> None:
        """See `base.Runtime`. Builds the images first, so that a changed checkout is what runs."""
        docker_engine.require()
        self.settings = images.decide(self.settings, say)
        self._refuse_foreign_project()
        self._refuse_taken_ports()
        self._stream(say, "building images", "build")
        self._stream(say, "starting", "up", "--detach", "--no-build")

    def down(self, say: Say, delete_data: bool) -> None:
        """See `base.Runtime`."""
        self._stream(say, "stopping", "--profile", "*", "down", *(["--volumes"] if delete_data else []))

    def scale(self, workers: int, say: Say) -> None:
        """See `base.Runtime`."""
        self._require_up()
        self.settings = env_file.record(self.settings, {"WORKERS": str(workers)})
        self._stream(
            say,
            "scaling",
            "up",
            "--detach",
            "--no-build",
            "--no-recreate",
            "--no-deps",
            "--scale",
            f"airflow-worker={workers}",
            "airflow-worker",
        )

    def stop(self, instances: list[str], say: Say) -> None:
        """See `base.Runtime`."""
        docker_engine.run_on("stop", *self._containers(instances), meanwhile=lambda: self._tell_left(instances, say))

    def start_instances(self, instances: list[str]) -> None:
        """See `base.Runtime`."""
        if instances:
            docker_engine.run("start", *self._containers(instances))

    def kill(self, instance: str) -> None:
        """See `base.Runtime`. Docker takes a kill by hand for a wish to stop, so the container is started again here."""
        container, *_ = self._containers([services.resolve(instance, self.names())])
        docker_engine.run("kill", container)
        docker_engine.run("start", container)

    def names(self) -> list[str]:
        """See `base.Runtime`."""
        docker_engine.require()
        if found := [one.instance for one in self.instances()]:
            return found
        raise NotRunningError("the stack is not up: run 'kit up'")

    def instances(self, names: Collection[str] = ()) -> list[Instance]:
        """See `base.Runtime`."""
        found = [
            _report(self.settings.project, description)
            for description in docker_engine.containers(self.settings.project)
        ]
        ended_well = [one for one in found if not (one.service == "airflow-init" and one.state == "exited 0")]
        return sorted((one for one in ended_well if not names or one.instance in names), key=lambda one: one.instance)

    def logs(self, names: list[str], follow: bool, lines: int) -> Iterator[str]:
        """See `base.Runtime`."""
        yield from self._logs(names, "--tail", str(lines), *(["--follow"] if follow else []))

    def history(self, names: list[str]) -> dict[str, Iterator[str]]:
        """See `base.Runtime`."""
        found: dict[str, list[str]] = {}
        for line in self._logs(names):
            instance, _, text = line.partition("|")
            found.setdefault(instance.strip(), []).append(text.removeprefix(" "))
        return {instance: iter(lines) for instance, lines in found.items()}

    def _logs(self, names: list[str], *options: str) -> Iterator[str]:
        self._require_up()
        wanted = services.matching(names, self._all_names())
        chosen = sorted({services.service_of(instance) for instance in wanted})
        command = self._compose("logs", "--no-color", *options, *chosen)
        with subprocess.Popen(
            command, cwd=self.settings.root, env=docker_engine.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:  # fmt: skip
            # Bytes end with a line feed alone; what a task prints has other ends within, and need not be text.
            for line in process.stdout or ():
                plain = line.decode(errors="replace").replace(ERASE_LINE, "").rstrip("\r\n")
                if plain.partition("|")[0].strip() in wanted:
                    yield plain

    def ask(self, service: str, command: list[str]) -> str:
        """See `base.Runtime`."""
        self._require_up()
        return docker_engine.run("compose", "exec", "--no-TTY", service, *command, cwd=str(self.settings.root))

    def airflow(self, arguments: list[str]) -> int:
        """See `base.Runtime`."""
        self._require_up()
        command = self._compose("exec", "--no-TTY", "airflow-scheduler", "airflow", *arguments)
        return subprocess.run(command, cwd=self.settings.root, env=docker_engine.environment(), check=False).returncode

    def _compose(self, *arguments: str) -> list[str]:
        # Run in the checkout without naming files, so that a docker-compose.override.yml counts as it does for Docker.
        return ["docker", "compose", "--ansi", "never", *arguments]

    def _stream(self, say: Say, title: str, *arguments: str) -> None:
        """Run a Compose command, telling each line it prints. Raises NotReadyError with what went wrong."""
        say(title)
        last = ""
        with subprocess.Popen(
            self._compose("--progress", "plain", *arguments),
            cwd=self.settings.root, env=docker_engine.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in filter(str.strip, process.stdout or ()):
                last = line.strip()
                say(f"{title}: {last}")
        if process.returncode:
            raise NotReadyError(f"{title} failed: {self._reason(last)}")

    def _reason(self, last: str) -> str:
        if "airflow-init" not in last:
            return last
        said = docker_engine.last_line("\n".join(self.logs(["airflow-init"], follow=False, lines=20)))
        return f"{last} ({said})"

    def _all_names(self) -> list[str]:
        """Return every instance, airflow-init that has ended too."""
        return [_report(self.settings.project, one).instance for one in docker_engine.containers(self.settings.project)]

    def _require_up(self) -> None:
        self.names()

    def _containers(self, instances: list[str]) -> list[str]:
        return [f"{self.settings.project}-{instance}" for instance in instances]

    def _tell_left(self, instances: list[str], say: Say) -> None:
        left = {one.instance: _tasks(one) for one in self.instances() if one.instance in instances and one.pid}
        if left:
            say(leaving.told("stopping", left))

    def _refuse_foreign_project(self) -> None:
        for description in docker_engine.containers(self.settings.project):
            folder = description["Config"]["Labels"].get(f"{LABEL}.project.working_dir")
            if folder != str(self.settings.root):
                raise MachineError(
                    f"a stack called {self.settings.project} runs from {folder}: put another COMPOSE_PROJECT_NAME into .env"
                )

    def _refuse_taken_ports(self) -> None:
        running = {instance.service for instance in self.instances() if instance.state == "running"}
        for knob, service, host in self._published():
            port = self.settings.number(knob)
            if service not in running and not ports.is_free(port, host):
                raise MachineError(f"port {port} is taken: stop what listens there or put another {knob} into .env")

    def _published(self) -> Iterator[tuple[str, str, str]]:
        """Yield the knob of each port that is published, its service and its address."""
        yield from ((knob, service, self.settings["BIND_ADDRESS"]) for knob, service in PUBLISHED.items())
        chosen = set(self.settings["COMPOSE_PROFILES"].split(","))
        yield from ((knob, service, LOOPBACK) for knob, (service, some) in OF_PROFILES.items() if some & chosen)


def _report(project: str, description: dict[str, Any]) -> Instance:
    state, labels = description["State"], description["Config"]["Labels"]
    name = description["Name"].lstrip("/")
    health = state.get("Health")
    healthy = state["Running"] and health["Status"] == "healthy" if health else None
    return Instance(
        service=labels[f"{LABEL}.service"],
        instance=name.removeprefix(f"{project}-"),
        state=_state(description),
        healthy=healthy,
        pid=state["Pid"] or None,
        container=description["Id"][:12],
        hostname=name,
        detail=_last_check(health) if health and state["Running"] and not healthy else "",
    )


def _state(description: dict[str, Any]) -> str:
    """Return the engine's word, but `stopped` for what it starts again by itself unless somebody stopped it."""
    state, restart = description["State"], description["HostConfig"]["RestartPolicy"]["Name"]
    if state["Status"] != "exited":
        return str(state["Status"])
    return "stopped" if restart in ("always", "unless-stopped") else f"exited {state['ExitCode']}"


def _tasks(worker: Instance) -> int | None:
    """Return how many tasks a worker runs, None where the engine shows no processes or it is no worker."""
    if not services.is_worker(worker.instance) or not worker.container:
        return None
    try:
        parents = docker_engine.parents(worker.container)
    except (KitError, ValueError):
        return None
    # The container's own process is an init that has the guard as its child.
    return leaving.running_tasks(parents, {pid for pid, parent in parents.items() if parent == worker.pid})


def _last_check(health: dict[str, Any]) -> str:
    log = health.get("Log") or []
    return docker_engine.last_line(log[-1]["Output"]) if log else "no health check yet"


def has_data(project: str) -> bool:
    """Return whether volumes of the project are there. Raises KitError when the engine does not answer."""
    try:
        return bool(
            docker_engine.run("volume", "ls", "--quiet", "--filter", f"label={LABEL}.project={project}").strip()
        )
    except KitError:
        return False
