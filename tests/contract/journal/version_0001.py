"""Runs in: contract tests; the statements of the journal's first version, as they were: they are not to be brought up to date."""

COLUMNS = (
    "id uuid, at double precision, kind text, source text, task uuid, dag_id text, run_id text, task_id text, map_index integer, "
    "attempt integer, message text, worker text, seq bigint, facts jsonb"
)
WRITE_0001 = """
INSERT INTO journal.event (id, at, kind, source, task, dag_id, run_id, task_id, map_index, attempt, message, worker, seq, facts)
SELECT id, to_timestamp(at), kind, source, task, dag_id, run_id, task_id, map_index, attempt, message, worker, seq, coalesce(facts, '{}')
FROM jsonb_to_recordset(%s::jsonb) AS said (COLUMNS) ON CONFLICT DO NOTHING
""".replace("COLUMNS", COLUMNS)
LIST_0001 = "SELECT to_jsonb(task) - ARRAY['input', 'trace', 'state_seq'] FROM journal.task AS task ORDER BY created_at DESC, id DESC LIMIT 10"
TASK_0001 = "SELECT to_jsonb(task) - 'state_seq' FROM journal.task AS task WHERE id = %s"
EVENTS_0001 = (
    "SELECT jsonb_build_object('id', id, 'at', at, 'kind', kind, 'source', source, 'worker', worker, 'message', message, 'facts', facts) "
    "FROM journal.event WHERE task = %s ORDER BY at, seq NULLS LAST LIMIT 2000"
)
COUNTS_0001 = "SELECT dag_id, run_id, status, count(*) FROM journal.task WHERE replaced_by IS NULL GROUP BY dag_id, run_id, status"
WORKFLOWS_0001 = "SELECT to_jsonb(workflow) - 'state_seq' FROM journal.workflow ORDER BY created_at DESC, dag_id DESC, run_id DESC LIMIT 10"
MAKE_0001, PRUNE_0001 = "SELECT journal.make_partitions(%s)", "SELECT journal.prune(%s, %s)"
