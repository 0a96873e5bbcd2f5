"""Runs in: the command line and start-up steps; the one tree of errors.

Each error is one sentence that names the cure. `exit_code` is what the command line ends with.
"""


class KitError(Exception):
    """Anything the operator can put right. Exit code 1."""

    exit_code = 1


class BadInputError(KitError):
    """An argument or option that cannot be meant. Exit code 2, as for Click's own usage errors."""

    exit_code = 2


class ConfigurationError(KitError):
    """`.env`, a secret or a setting is missing, empty, or half-written. Exit code 3."""

    exit_code = 3


class MachineError(KitError):
    """The machine lacks something: an engine, memory, disk, a port, a tool. Exit code 4."""

    exit_code = 4


class NotRunningError(KitError):
    """The stack, or the part that was asked for, is not up. Exit code 5."""

    exit_code = 5


class NotReadyError(KitError):
    """The stack did not become healthy in time. Exit code 6."""

    exit_code = 6


class RunFailedError(KitError):
    """The Dag run ended in another state than success. Exit code 7."""

    exit_code = 7
