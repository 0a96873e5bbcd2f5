-- Task instances that wait in the broker or in Airflow, as core/ordering/policy.py describes them; sent ones first, then the longest wait.
SELECT ti.id::text, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.operator, ti.custom_operator_name, ti.queue, ti.state,
       coalesce(ti.external_executor_id, ''), ti.priority_weight,
       CASE WHEN weight.given = ti.priority_weight THEN weight.base ELSE ti.priority_weight END,
       coalesce(extract(epoch FROM now() - coalesce(ti.scheduled_dttm, ti.queued_dttm)), 0)::float8,
       coalesce(extract(epoch FROM now() - coalesce(run.start_date, run.queued_at)), 0)::float8,
       extract(epoch FROM due.at - now())::float8,
       (SELECT coalesce(array_agg(name), '{}') FROM dag_tag WHERE dag_tag.dag_id = ti.dag_id)
FROM task_instance ti
JOIN dag ON dag.dag_id = ti.dag_id
JOIN dag_run run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
LEFT JOIN kit.base_weight weight
    ON weight.dag_id = ti.dag_id AND weight.run_id = ti.run_id AND weight.task_id = ti.task_id AND weight.map_index = ti.map_index
-- Airflow has no index that finds a run's deadline.
LEFT JOIN (SELECT dagrun_id, min(deadline_time) AS at FROM deadline GROUP BY dagrun_id) due ON due.dagrun_id = run.id
WHERE (ti.state = 'queued' AND ti.external_executor_id IS NOT NULL)
   OR (ti.state = 'scheduled' AND run.state = 'running' AND NOT dag.is_paused)
ORDER BY ti.state = 'queued' DESC, ti.scheduled_dttm
LIMIT %(most)s
