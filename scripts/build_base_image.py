#!/usr/bin/env python3
"""Runs in: your shell; makes the base image of the kit from Debian packages alone, for machines without a registry.

The image holds a small Debian with Python and little else. Packages come from the mirrors that apt on this
machine is configured with. Nothing happens when the image is there already, unless `--force` asks for it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMAGE = "airflow-celery-kit-base:trixie"
WANTED_SUITE = "trixie"
SUITE_LABEL = "airflow-celery-kit.suite"
PACKAGES = ["python3", "python3-venv", "ca-certificates", "tzdata", "netbase", "libnss-wrapper"]
KEYRINGS = {"Debian": "debian-archive-keyring.gpg", "Ubuntu": "ubuntu-archive-keyring.gpg"}
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*"]
COPYRIGHTS = "/usr/share/doc/*/copyright"
REMOVED = [
    "var/lib/apt/lists/*",
    "var/cache/apt/*.bin",
    "var/log/apt",
    "var/log/*.log",
    "etc/apt/apt.conf.d/99mmdebstrap",
]
# These describe the machine that built the image.
EMPTIED = ["etc/hostname", "etc/resolv.conf"]


class Failure(Exception):
    """Something the reader has to put right; its text is the one line that they see."""


def say(text):
    """Print one progress line at once, so that a CI log shows where time goes."""
    print(text, flush=True)


def output_of(*command):
    """The output of a command that has to work."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise Failure(f"{command[0]} is missing") from None
    if done.returncode:
        raise Failure(f"{' '.join(command[:3])} failed: {last_line(done.stderr)}")
    return done.stdout.strip()


def last_line(text):
    """The last line that says anything; errors of the tools used here stand at the end."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")


# ---- what this machine offers


def engine_has(image):
    """True when the engine holds the image; a missing engine is the reader's first problem."""
    output_of("docker", "version", "--format", "{{.Server.Version}}")
    return subprocess.run(["docker", "image", "inspect", image], check=False, capture_output=True).returncode == 0


def ensure_mmdebstrap():
    """Find the tool that assembles the image; as root install it."""
    if shutil.which("mmdebstrap"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failure("mmdebstrap is missing: run `sudo apt-get install mmdebstrap uidmap`")
    say("installing mmdebstrap")
    output_of("apt-get", "-q", "update")
    options = ["-y", "-q", "-o", "DPkg::Lock::Timeout=120", "--no-install-recommends"]
    output_of("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", *options, "mmdebstrap", "uidmap")


def host_release():
    """The distribution and codename of this machine, such as Debian and bookworm."""
    text = Path("/etc/os-release").read_text()
    known = dict(re.findall(r'^(ID|VERSION_CODENAME)="?([^"\n]*)"?$', text, re.MULTILINE))
    distribution = known.get("ID", "").capitalize()
    if distribution not in KEYRINGS or "VERSION_CODENAME" not in known:
        raise Failure(f"this machine runs {distribution or 'an unknown system'}: a base image needs Debian or Ubuntu")
    return distribution, known["VERSION_CODENAME"]


def host_sources(distribution):
    """Address, codename and component of each of the distribution's own sources that apt uses here."""
    form = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
    lines = output_of("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines()
    found = [line.split("|")[1:] for line in lines if line.startswith(f"{distribution}|")]
    if not found:
        raise Failure(f"apt knows no lists of {distribution} here: run `sudo apt-get update`")
    return found


def sources_for(suite, codename, distribution):
    """The lines of a sources.list for one suite, with the mirrors of this machine's suite."""
    chosen = {}
    for address, known, component in host_sources(distribution):
        name, _, part = known.partition("-")
        if name == codename and part in ("", "updates", "security"):
            chosen.setdefault((address, known.replace(codename, suite, 1)), []).append(component)
    keyring = f"/usr/share/keyrings/{KEYRINGS[distribution]}"
    lines = [f"deb [signed-by={keyring}] {a} {s} {' '.join(sorted(set(c)))}" for (a, s), c in chosen.items()]
    if not lines:
        raise Failure(f"apt's sources name no mirror for {codename}")
    return lines


def host_apt_options():
    """How this machine's apt reaches its mirrors (proxy, certificates), for the apt that fills the image."""
    lines = output_of("apt-config", "dump", "Acquire").splitlines()
    wanted = re.compile(r'^Acquire::https?::(?:[^ ]*::)?(Proxy|CaInfo|CaPath|Verify-Peer)[^ ]* ".+";$')
    return [f"--aptopt={line}" for line in lines if wanted.match(line)]


# ---- making the image


def bootstrap_command(suite, sources, archive):
    """The call that assembles a root file system of one suite into a tar archive."""
    trimmed = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    clean = f'cd "$1" && rm -rf {" ".join(REMOVED)}; for f in {" ".join(EMPTIED)}; do : > "$f"; done'
    return [
        "mmdebstrap",
        "--variant=apt",
        f"--include={','.join(PACKAGES)}",
        "--aptopt=APT::Install-Recommends false",
        *host_apt_options(),
        "--dpkgopt=force-unsafe-io",
        *trimmed,
        f"--dpkgopt=path-include={COPYRIGHTS}",
        f"--customize-hook={clean}",
        suite,
        str(archive),
        *sources,
    ]


def bootstrap(suite, sources, archive):
    """Assemble one suite; a failure tells the reason in one line."""
    say(f"assembling {suite} from the mirrors of this machine ({len(sources)} sources)")
    command = bootstrap_command(suite, sources, archive)
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    if done.returncode:
        problems = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise Failure(f"mmdebstrap {suite} failed: {(problems or [last_line(done.stderr)])[0]}")


def bootstrap_best(archive):
    """Assemble the wanted suite, or this machine's own where its mirror does not hold that one."""
    distribution, codename = host_release()
    suites = [WANTED_SUITE, codename] if distribution == "Debian" else [codename]
    for suite in dict.fromkeys(suites):
        try:
            bootstrap(suite, sources_for(suite, codename, distribution), archive)
            return suite
        except Failure as problem:
            if suite == suites[-1]:
                raise
            say(f"{problem}; taking {suites[-1]} instead")


def import_image(archive, image, suite):
    """Hand the archive to the engine as an image of one layer."""
    say(f"importing {archive.stat().st_size // 2**20} MiB into the engine")
    changes = ["ENV LANG=C.UTF-8", f"LABEL {SUITE_LABEL}={suite}", 'CMD ["bash"]']
    output_of("docker", "import", *[f"--change={change}" for change in changes], str(archive), image)


def build(image):
    """Make the image and say what it holds."""
    started = time.monotonic()
    ensure_mmdebstrap()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "base.tar")
        suite = bootstrap_best(archive)
        import_image(archive, image, suite)
    size = int(output_of("docker", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6
    say(f"{image} is ready: {suite}, {size:.0f} MB, {time.monotonic() - started:.0f} s")


def main():
    """Read the command line and make the image if it is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", action="store_true", help="make the image again although it is there")
    parser.add_argument("--image", default=IMAGE, help="its name, %(default)s by default")
    arguments = parser.parse_args()
    try:
        if engine_has(arguments.image) and not arguments.force:
            say(f"{arguments.image} is there already")
        else:
            build(arguments.image)
    except (Failure, OSError) as problem:
        sys.exit(f"{Path(__file__).name}: {problem}")


if __name__ == "__main__":
    main()
