-- The tasks of a Dag's version, and which come after which.
CREATE TABLE journal.graph (version uuid PRIMARY KEY, dag_id text NOT NULL, number integer NOT NULL, tasks jsonb NOT NULL, told_at timestamptz NOT NULL);

CREATE FUNCTION journal.derive_graphs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
BEGIN
    INSERT INTO graph AS known (version, dag_id, number, tasks, told_at)
    SELECT DISTINCT ON (facts ->> 'version') (facts ->> 'version')::uuid, dag_id, (facts ->> 'number')::integer, facts -> 'tasks', at
    FROM fresh WHERE source = 'airflow' AND kind = 'graph' ORDER BY facts ->> 'version', at DESC
    ON CONFLICT (version) DO UPDATE SET tasks = excluded.tasks, told_at = excluded.told_at WHERE excluded.told_at > known.told_at;
    RETURN NULL;
END
$$;
CREATE TRIGGER derive_graphs AFTER INSERT ON journal.event REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION journal.derive_graphs();

-- What was told before and of which no run is on record any more goes.
CREATE FUNCTION journal.prune_graphs(days integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM graph WHERE told_at < date_trunc('day', now(), 'utc') - make_interval(days => days)
        AND NOT EXISTS (SELECT FROM workflow WHERE workflow.version = graph.version);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

REVOKE ALL ON FUNCTION journal.derive_graphs, journal.prune_graphs FROM PUBLIC;
-- Installed alone there is one role, which owns all of it.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT * FROM (VALUES
        ('journal_reader', 'SELECT ON journal.graph'), ('kit', 'EXECUTE ON FUNCTION journal.prune_graphs')
    ) AS rights (role, what) WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = role) LOOP
        EXECUTE format('GRANT %s TO %I', given.what, given.role);
    END LOOP;
END
$$;
