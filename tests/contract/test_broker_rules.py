"""What the broker allows its one user: everything kombu needs, nothing that reconfigures, wipes or spies."""

import os

import pytest
import valkey

# A command as kombu and its locks send it, with what makes it answer at once.
NEEDED = [
    ("LPUSH", "rules:list", "message"), ("BRPOP", "rules:list", "1"), ("LLEN", "rules:list"), ("LREM", "rules:list", "0", "x"),
    ("EVAL", "return redis.call('set', KEYS[1], '1')", "1", "rules:key"), ("SCRIPT", "LOAD", "return 1"),
    ("HSET", "rules:hash", "tag", "message"), ("HGET", "rules:hash", "tag"), ("HDEL", "rules:hash", "tag"),
    ("ZADD", "rules:index", "1", "tag"), ("ZREVRANGEBYSCORE", "rules:index", "9", "0"), ("ZREM", "rules:index", "tag"),
    ("SADD", "rules:binding", "queue"), ("SMEMBERS", "rules:binding"), ("SREM", "rules:binding", "queue"),
    ("PUBLISH", "rules:channel", "x"), ("INFO",), ("KEYS", "rules:*"), ("MULTI",), ("CLIENT", "SETNAME", "kit"), ("PING",),
]  # fmt: skip
REFUSED = [
    ("CONFIG", "GET", "*"), ("CONFIG", "SET", "maxmemory", "1"), ("FLUSHALL",), ("FLUSHDB",), ("SHUTDOWN", "NOSAVE"), ("ACL", "LIST"),
    ("ACL", "SETUSER", "airflow", "+@all"), ("DEBUG", "SLEEP", "1"), ("MONITOR",), ("REPLICAOF", "127.0.0.1", "1"), ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "ID", "1"), ("MODULE", "LIST"), ("SAVE",), ("BGREWRITEAOF",), ("MIGRATE", "127.0.0.1", "1", "k", "0", "1"),
    ("SLOWLOG", "GET"), ("EVAL", "return redis.call('flushall')", "0"),
]  # fmt: skip


def words(command: tuple[str, ...]) -> str:
    """A test's name."""
    return " ".join(command[:2])


@pytest.fixture
def clean(stack):
    """The broker's client; what a test left is removed, and it shows that the broker still runs."""
    client = stack.valkey
    yield client
    for key in client.keys("rules:*"):
        client.delete(key)


@pytest.mark.parametrize("command", NEEDED, ids=words)
def test_what_celery_needs_is_allowed(clean, command):
    clean.rpush("rules:list", "waiting") if command[0] == "BRPOP" else None
    clean.execute_command(*command)


def test_subscribing_is_allowed_to_channels_and_patterns(clean):
    listener = clean.pubsub()
    listener.subscribe("rules:channel")
    listener.psubscribe("rules:*")
    assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
    clean.publish("rules:channel", "heard")
    assert listener.get_message(timeout=5)["data"] == "heard"
    listener.close()


@pytest.mark.parametrize("command", REFUSED, ids=words)
def test_what_reconfigures_wipes_or_spies_is_refused(clean, command):
    clean.set("rules:key", "still here")
    with pytest.raises(valkey.exceptions.ResponseError, match="(?i)no permission|NOPERM|not allowed|ACL failure"):
        clean.execute_command(*command)
    assert clean.get("rules:key") == "still here"


@pytest.mark.parametrize(
    ("user", "password"), [("airflow", "wrong"), ("airflow", ""), ("default", ""), ("default", None), ("root", "x")]
)
def test_nobody_else_gets_in(stack, user, password):
    secret = stack.settings["VALKEY_PASSWORD"] if password is None else password
    client = valkey.Valkey(port=stack.settings.number("VALKEY_PORT"), username=user, password=secret, socket_timeout=5)
    with pytest.raises((valkey.exceptions.AuthenticationError, valkey.exceptions.ResponseError)):
        client.ping()


def test_a_connection_that_does_not_log_in_may_do_nothing(stack):
    client = valkey.Valkey(port=stack.settings.number("VALKEY_PORT"), socket_timeout=5)
    with pytest.raises(valkey.exceptions.AuthenticationError):
        client.lpush("rules:list", "x")


def test_the_broker_evicts_nothing_and_keeps_an_append_only_file(stack):
    found = stack.valkey.info("everything")
    assert found["maxmemory_policy"] == "noeviction"
    assert found["maxmemory"] == 384 * 1024**2
    assert (found["aof_enabled"], found["aof_last_write_status"]) == (1, "ok")
    assert found["server_name"] == "valkey"
    assert found["valkey_version"].startswith("9.")


def test_the_servers_run_as_containers_too(containers_left_out):
    if containers_left_out:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"PostgreSQL and Valkey as containers left out: {containers_left_out}"
        )
