#!/usr/bin/python3
"""Runs in: the postgres container of machines without a registry; makes the cluster once, then becomes the server.

It reads the same variables as the official image: `PGDATA`, `POSTGRES_USER`, `POSTGRES_PASSWORD_FILE` and
`POSTGRES_INITDB_ARGS`. Any user id will do, also one without an entry in /etc/passwd.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOCKET_FOLDER = "/var/run/postgresql"
VOLUME = Path("/var/lib/postgresql")
RULE_FOR_OTHER_CONTAINERS = "host all all all scram-sha-256\n"


def refuse(reason):
    """End with one line that says what to put right."""
    sys.exit(f"postgres: {reason}")


def refuse_root():
    """PostgreSQL would refuse later and in more words."""
    if os.geteuid() == 0:
        refuse("this container may not run as root: give it a user id, for example `user: 1000:0`")


def refuse_foreign_data(data):
    """PostgreSQL opens data of its own user only; a changed user id deserves a plainer word than "permission"."""
    if data.exists() and data.stat().st_uid != os.geteuid():
        refuse(f"{data} belongs to user id {data.stat().st_uid}, not to {os.geteuid()}: run as its owner")


def refuse_other_data(data):
    """Never start an empty cluster next to data that another release left in the volume."""
    for version in [*VOLUME.glob("PG_VERSION"), *VOLUME.glob("data/PG_VERSION"), *VOLUME.glob("*/docker/PG_VERSION")]:
        if version.parent != data:
            refuse(
                f"{version.parent} holds data of PostgreSQL {version.read_text().strip()}: move it with a dump first"
            )


def password():
    """The superuser's password, from the file that the secret is mounted at."""
    path = os.environ.get("POSTGRES_PASSWORD_FILE")
    if not path:
        refuse("POSTGRES_PASSWORD_FILE is not set: it names the file with the superuser's password")
    try:
        text = Path(path).read_text().rstrip("\r\n")
    except OSError as problem:
        refuse(f"the password file cannot be read: {problem}")
    return text or refuse(f"the password file {path} is empty")


def named_user(folder, name):
    """Variables that make the C library know this process's user id; initdb insists on a name for it."""
    passwd, group = Path(folder, "passwd"), Path(folder, "group")
    passwd.write_text(f"{name}:x:{os.geteuid()}:{os.getegid()}::{VOLUME}:/bin/false\n")
    group.write_text(f"{name}:x:{os.getegid()}:\n")
    return {
        "LD_PRELOAD": "libnss_wrapper.so",
        "NSS_WRAPPER_PASSWD": str(passwd),
        "NSS_WRAPPER_GROUP": str(group),
    }


def make_cluster(data):
    """Fill a folder next to the data folder and rename it, so that a half-made cluster is never taken for one."""
    user = os.environ.get("POSTGRES_USER", "postgres")
    secret = password()
    unfinished = data.with_name(f"{data.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "password").write_text(f"{secret}\n")
        command = ["initdb", f"--pgdata={unfinished}", f"--username={user}", f"--pwfile={folder}/password"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"]
        command += shlex.split(os.environ.get("POSTGRES_INITDB_ARGS", ""))
        if subprocess.run(command, check=False, env={**os.environ, **named_user(folder, user)}).returncode:
            refuse("initdb failed, see the lines above")
    with (unfinished / "pg_hba.conf").open("a") as rules:
        rules.write(RULE_FOR_OTHER_CONTAINERS)
    os.sync()
    unfinished.rename(data)


def main():
    """Become the given command; before a server, see to its data."""
    command = sys.argv[1:] or ["postgres"]
    if command[0].startswith("-"):
        command.insert(0, "postgres")
    if command[0] == "postgres":
        refuse_root()
        data = Path(os.environ["PGDATA"])
        refuse_foreign_data(data)
        if not (data / "PG_VERSION").exists():
            refuse_other_data(data)
            make_cluster(data)
        settings = [f"unix_socket_directories={SOCKET_FOLDER}", "listen_addresses=*"]
        command[1:1] = [word for setting in settings for word in ("-c", setting)]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
