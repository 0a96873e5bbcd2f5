"""Runs in: tests; what services say of their secrets tells whether they agree, and nothing else."""

from airflow_celery_kit import secret_facts


def about(tmp_path, value: str = "a-long-and-random-secret", mode: int = 0o600, salt: str = "salt") -> dict:
    """What a service with one file and one variable says."""
    file = tmp_path / "broker"
    file.write_text(value + "\n")
    file.chmod(mode)
    key = tmp_path / "jwt"
    key.write_text("another-long-random-secret")
    key.chmod(0o600)
    return secret_facts.about(
        {"KIT_BROKER_PASSWORD_FILE": str(file), "AIRFLOW__API_AUTH__JWT_SECRET_CMD": f"cat {key}"}, salt
    )


def test_equal_secrets_have_equal_hashes_and_no_hash_is_of_use_elsewhere(tmp_path):
    said = about(tmp_path)
    assert set(said["hashes"]) == {"broker password", "JWT secret"} and said == about(tmp_path)
    assert (
        said["hashes"]["broker password"] != about(tmp_path, "another-and-random-secret")["hashes"]["broker password"]
    )
    assert not set(said["hashes"].values()) & set(about(tmp_path, salt="elsewhere")["hashes"].values())
    assert "secret" not in str(said["hashes"].values())


def test_what_others_may_read_and_what_can_be_guessed_is_named(tmp_path):
    assert about(tmp_path)["exposed"] == about(tmp_path)["weak"] == []
    assert about(tmp_path, mode=0o644)["exposed"] == ["broker password"]
    assert about(tmp_path, "airflow")["weak"] == about(tmp_path, "short")["weak"] == ["broker password"]


def test_what_a_service_was_not_given_is_not_spoken_of(tmp_path):
    environment = {
        "KIT_BROKER_PASSWORD_FILE": str(tmp_path / "nowhere"),
        "AIRFLOW__CORE__FERNET_KEY_CMD": "vault read key",
    }
    assert secret_facts.about(environment, "salt") == {"hashes": {}, "exposed": [], "weak": []}
