# Logs in to the broker as its real user and writes a key, as a message would: exit 0 only on OK. Runs in: the Valkey container.
set -eu
exec 3<>/dev/tcp/127.0.0.1/6379
printf 'AUTH airflow %s\r\nSET kit:publisher here EX 60\r\n' "$(cat /run/secrets/valkey_password)" >&3
read -r -t 5 login <&3
read -r -t 5 answer <&3
[[ $answer != -OOM* ]] || { echo "broker: is full (maxmemory): it refuses messages until there is room"; exit 1; }
[ "$login" = $'+OK\r' ] && [ "$answer" = $'+OK\r' ] || { echo "valkey: $login $answer"; exit 1; }
