"""Runs in: `make docs`; knobs.md, every line of `.env`."""

from airflow_celery_kit import knobs
from reference.markdown import code, page, table

FORMS = {
    knobs.NAME: "lower-case letters, digits, `-`, `_`",
    knobs.PORT: "a port number",
    knobs.COUNT: "a whole number above 0",
    knobs.FEW_OR_NONE: "a whole number, 500 at most",
    knobs.URL: "an address, `http://` or `https://`, without a password",
    knobs.FERNET: "a Fernet key",
    knobs.QUEUES: "names with commas between them",
    knobs.WITH_DEFAULT: "names with commas between them, one of them `default`",
    knobs.SECONDS: "seconds, such as `600s`",
    knobs.TIMEOUT: "seconds, less than 80000",
    knobs.RETRIES: "a whole number, 100 at most",
    knobs.SIZE: "a size, such as `512m` or `4g`",
    knobs.LOG_SIZE: "a size of 100k or more, such as `10m`",
    knobs.CPUS: "a number of cores, such as `2` or `0.5`",
    knobs.BOOLEAN: "`true` or `false`",
    knobs.FOUND: "`auto`, `true` or `false`",
    knobs.UNQUOTED: "8 characters or more: letters, digits, `_=.~+/-`",
    r"registry|local|": "`registry`, `local`, or nothing",
    knobs.POLICY: "a [policy](../how-to/how-do-i-set-the-order-of-work.md), or `module.Class`",
    knobs.OWN_ONES: "`module.Name` with commas between them, or nothing",
    r"latency|balanced|economy": "`latency`, `balanced` or `economy`",
    r"on|off": "`on` or `off`",
    r"[a-z,]*": "names with commas between them, or nothing",
    knobs.ADDRESS: "an IP address",
    r"[A-Za-z0-9_.@-]+": "letters, digits, `_.@-`",
    r".*": "any text",
}


def knobs_page() -> str:
    """Every line of `.env`."""
    intro = (
        "A knob is one line of `.env`. `kit init` writes the file and keeps what is there; edit it by hand, then "
        "`make down` and `make up`. Both runtimes read it. *generated*: `kit init` makes a random value, which no "
        "command prints."
    )
    groups = [f"## {group.title}\n\n{knob_table(group)}" for group in knobs.GROUPS]
    return page("Knobs", "`src/airflow_celery_kit/knobs.py`", intro, *groups)


def knob_table(group: knobs.Group) -> str:
    """The knobs of one group."""
    rows = ((code(knob.name), default(knob), knob.help, FORMS[knob.pattern]) for knob in group.knobs)
    return table(("Knob", "Default", "What it is", "Accepted"), rows)


def default(knob: knobs.Knob) -> str:
    """What a new `.env` holds."""
    return "*generated*" if knob.secret else code(knob.default) or "nothing"
