-- How guards come here: from config/limits.yaml by the controller, and from Dags when they are stored.
-- What is known by a rule of before is put right by those of `changed`: no debt of a slower rate, no token that nothing is counted by, no slot of
-- what a limit is not for. What another transaction has locked, it is about to change itself.
CREATE OR REPLACE FUNCTION kit.guards_recount(changed text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE kit.rate SET next = soon.most FROM (
        SELECT rate.guard, rate.token, clock_timestamp() + make_interval(secs => kit.rate_gap(g.rate * n, g.period, g.burst * n) * g.burst * n) AS most
        FROM kit.rate JOIN kit.guard AS g ON g.id = rate.guard, LATERAL (SELECT kit.rate_times(g, rate.token) AS n) AS times
        WHERE g.id = ANY (changed) AND g.rate IS NOT NULL FOR UPDATE OF rate SKIP LOCKED
    ) AS soon WHERE rate.guard = soon.guard AND rate.token = soon.token AND rate.next > soon.most;
    WITH let AS (
        SELECT a.task, a.guard, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue FROM kit.admitted AS a JOIN task_instance AS ti ON ti.id = a.task
        WHERE a.guard = ANY (changed) AND kit.guard_active(ti.state) FOR UPDATE OF a SKIP LOCKED
    ), now AS (
        SELECT let.task, let.guard, (
            SELECT kit.guard_token(g.token, let.dag_id, let.run_id, let.task_id, let.pool, let.queue)
            FROM kit.guards_of(let.dag_id, let.task_id, let.pool, let.queue) AS g WHERE g.id = let.guard
        ) AS token FROM let
    ), gone AS (
        DELETE FROM kit.admitted AS a USING now WHERE a.task = now.task AND a.guard = now.guard AND now.token IS NULL
    )
    UPDATE kit.admitted AS a SET token = now.token FROM now WHERE a.task = now.task AND a.guard = now.guard AND a.token <> now.token;
END
$$;

-- The guards of config/limits.yaml, all of them; those that Dags define stay where the file does not name them too.
CREATE OR REPLACE FUNCTION kit.guards_apply(given jsonb) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    wanted kit.guard[] := array(SELECT row(one.*)::kit.guard FROM jsonb_populate_recordset(NULL::kit.guard, given) AS one ORDER BY id);
    now_there kit.guard[];
    one record;
BEGIN
    -- Whoever defines guards, or takes away what nobody names, does so alone until the end of the transaction.
    PERFORM pg_advisory_xact_lock(hashtext('kit.guards_apply'));
    SELECT coalesce(array_agg(g ORDER BY g.id), '{}') INTO now_there FROM kit.guard AS g WHERE origin = 'file';
    IF now_there = wanted THEN
        RETURN false;
    END IF;
    DELETE FROM kit.guard WHERE origin = 'file' OR id IN (SELECT id FROM unnest(wanted));
    INSERT INTO kit.guard SELECT * FROM unnest(wanted);
    PERFORM kit.guards_define();
    PERFORM kit.guards_recount(array(SELECT id FROM unnest(wanted) AS new WHERE NOT EXISTS (
        SELECT FROM unnest(now_there) AS old WHERE old = new
    )));
    PERFORM kit.guards_adopt();
    FOR one IN SELECT dag_id, run_id FROM kit.held GROUP BY dag_id, run_id ORDER BY min(since) LIMIT 50 LOOP
        PERFORM pg_notify('kit_wake', one.dag_id || E'\n' || one.run_id);
    END LOOP;
    RETURN true;
END
$$;

-- Whatever a task says of them: guards of a Dag are for those that name them, and can be told from all others.
CREATE OR REPLACE FUNCTION kit.guards_defined(said jsonb) RETURNS SETOF kit.guard LANGUAGE sql STABLE AS $$
    SELECT row.* FROM jsonb_array_elements(coalesce(said -> 'define', '[]')) AS one, LATERAL jsonb_populate_record(NULL::kit.guard, one || jsonb_build_object(
        'id', (one ->> 'kind') || ' ' || (one ->> 'name'), 'origin', 'dag', 'named', true,
        'dags', NULL, 'tasks', NULL, 'pools', NULL, 'queues', NULL, 'tags', NULL
    )) AS row
$$;

-- Guards that tasks of one Dag, or of all, define by the way: the file and operators come first. Of several tasks that define one the last by name counts.
DROP FUNCTION IF EXISTS kit.guards_define(text, text, jsonb);
CREATE OR REPLACE FUNCTION kit.guards_define(of_dag text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before kit.guard[] := array(SELECT g FROM kit.guard AS g WHERE origin = 'dag');
    defined kit.guard[];
BEGIN
    -- What nobody says so any more; another Dag may say it otherwise, or name it still.
    DELETE FROM kit.guard AS g WHERE origin = 'dag' AND rule <> '{}' AND (id, rule) IN (
        SELECT old.id, old.rule FROM unnest(before) AS old EXCEPT
        SELECT (one ->> 'kind') || ' ' || (one ->> 'name'), one -> 'rule' FROM kit.guard_said, LATERAL jsonb_array_elements(coalesce(said -> 'define', '[]')) AS one
    );
    IF FOUND THEN
        of_dag := NULL;
    END IF;
    defined := array(
        SELECT DISTINCT ON (g.id) g FROM kit.guard_said, LATERAL kit.guards_defined(said) AS g
        WHERE of_dag IS NULL OR dag_id = of_dag ORDER BY g.id, dag_id DESC, task_id DESC
    );
    DELETE FROM kit.guard WHERE origin = 'dag' AND id IN (SELECT id FROM unnest(defined));
    INSERT INTO kit.guard SELECT * FROM unnest(defined) ON CONFLICT (id) DO NOTHING;
    -- A breaker that nobody describes has the usual values.
    INSERT INTO kit.guard (id, kind, name, origin, rule, named, failures, failures_within, open_for, growth, open_most, on_open)
    SELECT DISTINCT 'breaker ' || name, 'breaker', name, 'dag', '{}'::jsonb, true, 3, 60, 30, 'constant', 30, 'wait'
    FROM kit.guard_said, LATERAL jsonb_array_elements_text(coalesce(said -> 'breaker', '[]')) AS name
    WHERE of_dag IS NULL OR dag_id = of_dag ON CONFLICT (id) DO NOTHING;
    IF EXISTS (SELECT FROM kit.guard_said WHERE (of_dag IS NULL OR dag_id = of_dag) AND said ?| '{start,start_conf}') THEN
        INSERT INTO kit.guard (id, kind, name, origin, rule, named) VALUES ('limit start', 'limit', 'start', 'dag', '{}', true) ON CONFLICT (id) DO NOTHING;
    END IF;
    PERFORM kit.guards_recount(array(SELECT id FROM kit.guard AS new WHERE origin = 'dag' AND NOT EXISTS (SELECT FROM unnest(before) AS old WHERE old = new)));
END
$$;

-- Airflow's encoding of dictionaries, undone.
CREATE OR REPLACE FUNCTION kit.plain(given jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE
        WHEN jsonb_typeof(given) = 'array' THEN (SELECT coalesce(jsonb_agg(kit.plain(one)), '[]') FROM jsonb_array_elements(given) AS one)
        WHEN jsonb_typeof(given) <> 'object' THEN given
        WHEN given ? '__var' THEN kit.plain(given -> '__var')
        ELSE (SELECT coalesce(jsonb_object_agg(key, kit.plain(value)), '{}') FROM jsonb_each(given)) END;
END
$$;
CREATE OR REPLACE FUNCTION kit.listed(given jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN given IS NULL THEN '[]' WHEN jsonb_typeof(given) = 'array' THEN given ELSE jsonb_build_array(given) END
$$;

-- A Dag is stored before any task of it can be scheduled, and what its tasks say of guards in the same transaction.
CREATE OR REPLACE FUNCTION kit.guards_read_dag(of_dag text, tasks jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
    said_before boolean;
BEGIN
    DELETE FROM kit.guard_said WHERE dag_id = of_dag;
    said_before := FOUND;
    FOR one IN
        SELECT var ->> 'task_id' AS task_id, kit.plain(coalesce(var -> 'executor_config', var -> 'partial_kwargs' -> 'executor_config')) -> 'kit' AS said
        FROM (SELECT task -> '__var' AS var FROM jsonb_array_elements(tasks) AS task) AS decoded
        WHERE coalesce(var -> 'executor_config', var -> 'partial_kwargs' -> 'executor_config') IS NOT NULL
    LOOP
        CONTINUE WHEN one.said IS NULL OR jsonb_typeof(one.said) <> 'object';
        one.said := one.said || jsonb_build_object('limit', kit.listed(one.said -> 'limit')
            || CASE WHEN one.said ?| '{start,start_conf}' THEN '["start"]'::jsonb ELSE '[]' END, 'breaker', kit.listed(one.said -> 'breaker'));
        INSERT INTO kit.guard_said (dag_id, task_id, said) VALUES (of_dag, one.task_id, one.said)
        ON CONFLICT (dag_id, task_id) DO UPDATE SET said = excluded.said;
    END LOOP;
    IF said_before OR EXISTS (SELECT FROM kit.guard_said WHERE dag_id = of_dag) THEN
        -- Another Dag processor may store Dags with the same guards in another order: they would wait for each other.
        PERFORM pg_advisory_xact_lock(hashtext('kit.guards_apply'));
        PERFORM kit.guards_define(of_dag);
    END IF;
EXCEPTION WHEN OTHERS THEN
    PERFORM kit.guard_wrong(NULL, format('Dag %s: %s', of_dag, SQLERRM));
END
$$;
CREATE OR REPLACE FUNCTION kit.dag_stored() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.data IS NULL THEN
        PERFORM kit.guard_wrong(NULL, format('Dag %s is stored compressed (compress_serialized_dags): what it says of guards cannot be read', NEW.dag_id));
        RETURN NULL;
    END IF;
    PERFORM kit.guards_read_dag(NEW.dag_id, coalesce(NEW.data -> 'dag' -> 'tasks', '[]'));
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_hold_dag AFTER INSERT OR UPDATE OF data ON serialized_dag FOR EACH ROW EXECUTE FUNCTION kit.dag_stored();
SELECT kit.guards_read_dag(dag_id, coalesce(data -> 'dag' -> 'tasks', '[]')) FROM (
    SELECT DISTINCT ON (dag_id) dag_id, data FROM serialized_dag WHERE data::text LIKE '%"kit"%' ORDER BY dag_id, last_updated DESC
) AS newest;
