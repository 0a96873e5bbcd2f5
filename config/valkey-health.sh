# Logs in to the broker as its real user and writes a key, as a message would; wants room for more. Runs in: the Valkey container.
set -eu
exec 3<>/dev/tcp/127.0.0.1/6379
printf 'AUTH airflow %s\r\nINFO memory\r\nSET kit:publisher here EX 60\r\n' "$(cat /run/secrets/valkey_password)" >&3
read -r -t 5 login <&3
while read -r -t 5 line <&3; do case ${line%$'\r'} in used_memory:*) used=${line//[!0-9]/} ;; maxmemory:*) limit=${line//[!0-9]/} ;; +OK|-*) break ;; esac; done
(( ${limit:-0} == 0 || used * 100 <= limit * 95 )) || { echo "broker: is full ($((used * 100 / limit))% of maxmemory): new messages wait"; exit 1; }
[ "$login" = $'+OK\r' ] && [ "${line%$'\r'}" = +OK ] || { echo "valkey: $login ${line:-no answer}"; exit 1; }
