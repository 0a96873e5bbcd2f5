-- Task instances that wait in Airflow or in the broker, as core/ordering/policy.py describes them; the most urgent are the first.
SELECT ti.id::text, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.operator, ti.custom_operator_name, ti.queue, ti.state,
       coalesce(ti.external_executor_id, ''), ti.priority_weight,
       CASE WHEN weight.given = ti.priority_weight THEN weight.base ELSE ti.priority_weight END,
       coalesce(extract(epoch FROM now() - coalesce(ti.scheduled_dttm, ti.queued_dttm)), 0)::float8,
       coalesce(extract(epoch FROM now() - coalesce(run.start_date, run.queued_at)), 0)::float8,
       (SELECT extract(epoch FROM min(deadline_time) - now())::float8 FROM deadline WHERE dagrun_id = run.id),
       (SELECT coalesce(array_agg(name), '{}') FROM dag_tag WHERE dag_tag.dag_id = ti.dag_id)
FROM task_instance ti
JOIN dag_run run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
LEFT JOIN kit.weight weight ON weight.task_instance = ti.id
WHERE ti.state = 'scheduled' OR (ti.state = 'queued' AND ti.external_executor_id IS NOT NULL)
ORDER BY ti.scheduled_dttm
LIMIT %(most)s
