# Logs in to the broker as its real user and pings it: exit 0 only on PONG. Runs in: the Valkey container.
set -eu
exec 3<>/dev/tcp/127.0.0.1/6379
printf 'AUTH airflow %s\r\nPING\r\n' "$(cat /run/secrets/valkey_password)" >&3
read -r -t 5 login <&3
read -r -t 5 answer <&3
[ "$login" = $'+OK\r' ] && [ "$answer" = $'+PONG\r' ] || { echo "valkey: $login $answer"; exit 1; }
