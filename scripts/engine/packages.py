"""Runs in: your shell; installs engine, Compose and buildx from the distribution's packages."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from engine.commands import Failure, answer_of, compose_version, say

NEXT_SUITE = "trixie"
PLUGINS_OF_NEXT_SUITE = ["docker-compose", "docker-buildx"]
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def install_missing():
    """Install what this machine lacks of engine, client and plugins."""
    has_engine = shutil.which("dockerd") and shutil.which("docker")
    if has_engine and compose_version():
        return
    apt_get("update")
    if not has_engine:
        install_engine()
    install_plugins()


def apt_get(*arguments):
    """Run apt-get without questions; its last line tells what went wrong."""
    command = ["apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if done.returncode:
        words = [word for word in arguments if not word.startswith("-") and "::" not in word]
        problems = re.findall(r"^E: .*$", done.stderr, re.MULTILINE) or [f"exit code {done.returncode}"]
        raise Failure(f"apt-get {' '.join(words)} failed: {problems[-1]}")


def candidate(package, *options):
    """The version that apt would install, or an empty text where the package is unknown."""
    policy = answer_of("apt-cache", *options, "policy", package) or ""
    found = re.search(r"Candidate: (\S+)", policy)
    return found[1] if found and found[1] != "(none)" else ""


def major(version):
    """The first number of a package version, without its epoch: `1:2.26.1-4` gives 2."""
    return int(re.match(r"(?:\d+:)?(\d+)", version)[1])


def plugins_of_this_suite():
    """The packages of Compose v2 and buildx that the machine's own sources hold, or an empty list."""
    buildx = ["docker-buildx"] if candidate("docker-buildx") else []
    if candidate("docker-compose-v2"):
        return ["docker-compose-v2", *buildx]
    compose = candidate("docker-compose")
    return ["docker-compose", *buildx] if compose and major(compose) >= 2 else []


def install_engine():
    """Install engine and client from the machine's own package sources."""
    client = ["docker-cli"] if candidate("docker-cli") else []
    say("installing the engine: docker.io")
    apt_get("install", "--no-install-recommends", "docker.io", "iptables", "ca-certificates", *client)


def install_plugins():
    """Install Compose and buildx, from the next Debian suite where this one has only Compose 1."""
    if compose_version():
        return
    packages = plugins_of_this_suite()
    if packages:
        say(f"installing {' '.join(packages)}")
        apt_get("install", "--no-install-recommends", *packages)
    else:
        install_plugins_of_next_suite()
    if not compose_version():
        raise Failure(f"`docker compose version` fails with {shutil.which('docker')}: it does not find its plugins")


def install_plugins_of_next_suite():
    """Install the two plugins from the next suite without adding that suite to the machine's sources."""
    with tempfile.TemporaryDirectory() as folder:
        options = private_apt_options(Path(folder), debian_mirror())
        say(f"installing {' '.join(PLUGINS_OF_NEXT_SUITE)} from {NEXT_SUITE}")
        apt_get(*options, "-o", "APT::Update::Error-Mode=any", "update")
        # Nothing but the two static binaries may change: a newer libc or client would break the engine.
        apt_get(*options, "install", "--no-install-recommends", "--no-remove", *PLUGINS_OF_NEXT_SUITE)


def debian_mirror():
    """The address of the Debian mirror that this machine uses."""
    lines = answer_of("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages")
    mirrors = [line.split("|")[2] for line in (lines or "").splitlines() if line.startswith("Debian|Debian|")]
    if not mirrors:
        raise Failure("no Compose v2 in the package sources and no Debian mirror among them: install it by hand")
    return mirrors[0]


def private_apt_options(folder, mirror):
    """Options that make apt see only the next suite, at a priority that never upgrades what is installed."""
    for part in ("sources", "preferences", "lists/partial"):
        (folder / part).mkdir(parents=True)
    folder.chmod(0o755)
    source = f"Types: deb\nURIs: {mirror}\nSuites: {NEXT_SUITE}\nComponents: main\nSigned-By: {DEBIAN_KEYRING}\n"
    (folder / "sources/next.sources").write_text(source)
    pin = f"Package: *\nPin: release n={NEXT_SUITE}\nPin-Priority: 100\n"
    (folder / "preferences/next.pref").write_text(pin)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "sources",
        "Dir::Etc::preferencesparts": folder / "preferences",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
