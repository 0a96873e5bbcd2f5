"""Runs in: your shell; gets dockerd to run, by the machine's service manager or in the background."""

import subprocess
from pathlib import Path

from engine.commands import Failure, answer_of, engine_version, say, tries
from engine.processes import command_line, pid_file, pid_in

SERVICE_PID_FILE = Path("/run/docker.pid")
START_SECONDS = 60
ETHERNET_MTU = 1500


def choose_iptables():
    """Make sure that address translation works, with the older tables where the kernel lacks the newer."""
    if answer_of("iptables", "-t", "nat", "-S") is not None:
        return
    if answer_of("iptables-legacy", "-t", "nat", "-S") is None:
        raise Failure("iptables cannot list the nat table: the kernel lacks it or this container may not use it")
    say("iptables: the kernel lacks nftables, taking iptables-legacy")
    for name in ("iptables", "ip6tables"):
        answer_of("update-alternatives", "--set", name, f"/usr/sbin/{name}-legacy")


def bridge_options():
    """An MTU for the bridge where the way out has a smaller one than Ethernet; else packets get lost silently."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        device, destination = line.split()[:2]
        mtu = int(Path("/sys/class/net", device, "mtu").read_text())
        if destination == "00000000" and mtu < ETHERNET_MTU:
            return [f"--mtu={mtu}"]
    return []


def engine_of_service():
    """True once an engine answers that the machine's own service manager started, perhaps just now."""
    if Path("/run/systemd/system").is_dir():
        answer_of("systemctl", "start", "docker")
    for _ in tries(START_SECONDS):
        if engine_version():
            return True
        if not service_is_starting():
            break
    return False


def service_is_starting():
    """True while the dockerd that a service script started lives."""
    pid = pid_in(SERVICE_PID_FILE)
    return bool(pid) and "dockerd" in command_line(pid)[0]


def start_daemon(folder):
    """Start dockerd away from this terminal and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "dockerd.log"
    command = ["dockerd", f"--pidfile={pid_file(folder)}", *bridge_options()]
    say(f"starting dockerd, log in {log}")
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
        )
    wait_for_engine(daemon, log)


def wait_for_engine(daemon, log):
    """Return as soon as the engine answers; explain from its log if it does not."""
    for _ in tries(START_SECONDS):
        if daemon.poll() is not None:
            raise Failure(f"dockerd ended with code {daemon.returncode}: {last_line(log)}")
        if engine_version():
            return
    daemon.terminate()
    raise Failure(f"dockerd did not answer within {START_SECONDS} s: {last_line(log)}")


def last_line(log):
    """The last line of the daemon's log, the best hint there is."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "its log is empty")
