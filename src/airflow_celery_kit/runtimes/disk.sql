-- How many bytes are left on the disk of PostgreSQL's data: the server's own working folder.
CREATE SCHEMA IF NOT EXISTS kit_server;
CREATE UNLOGGED TABLE IF NOT EXISTS kit_server.disk (line text);
CREATE OR REPLACE FUNCTION kit_server.disk_left() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    kilobytes bigint;
BEGIN
    DELETE FROM kit_server.disk;
    COPY kit_server.disk FROM PROGRAM 'df -Pk .';
    SELECT (regexp_match(line, '\s(\d+)\s+\d+%\s'))[1]::bigint INTO kilobytes FROM kit_server.disk WHERE line ~ '\s\d+%\s' LIMIT 1;
    RETURN kilobytes * 1024;
END
$$;
REVOKE ALL ON FUNCTION kit_server.disk_left() FROM PUBLIC;
GRANT USAGE ON SCHEMA kit_server TO kit;
GRANT EXECUTE ON FUNCTION kit_server.disk_left() TO kit;
