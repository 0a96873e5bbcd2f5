"""Runs in: every process with a connection to PostgreSQL of the kit's own; how soon it notices that the server is gone."""

# A server that vanished without a word is noticed after about 20 s (libpq, connection parameters).
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}
