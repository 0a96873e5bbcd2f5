"""Runs in: contract tests and the generator of the documentation; Celery's own smoke tests and what answers to each of them here.

The names are those of `t/smoke/tests` in Celery's repository.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """A test of Celery's; `counterpart` is a test here, or `reason` says why there is none.

    With both, the counterpart is expected to fail for that reason. A test of Celery's may have several rows.
    """

    name: str
    counterpart: str = ""
    reason: str = ""


CANVAS = "canvas: Airflow sends single tasks"
STAMPING = "stamped headers: Airflow stamps nothing"
RABBITMQ = "RabbitMQ only"
SHUTDOWN = "test_worker.py::test_worker_shutdown"
SOFT = f"{SHUTDOWN}::test_worker_soft_shutdown_timeout"
RESET = f"{SOFT}::test_reset_visibility_timeout"
ALIAS = "test_worker.py::test_worker_queue_alias_reconnect::test_queue_selected_by_alias_is_not_reconsumed_after_cancel_by_real_name_and_reconnect"
ROUTING = "test_worker.py::test_explicit_routing_without_default_queue"
PREFETCH = "test_consumer.py::test_worker_enable_prefetch_count_reduction_true"

WORKERS = (
    Scenario(
        "failover/test_worker_failover.py::test_killing_first_worker",
        "test_restarts.py::test_another_worker_takes_over_what_a_killed_one_ran",
    ),
    Scenario(
        "failover/test_worker_failover.py::test_reconnect_to_restarted_worker",
        "test_restarts.py::test_a_worker_started_again_works_for_all_that_were_killed",
    ),
    Scenario(
        "test_worker.py::test_worker_restart::test_restart_during_task_execution",
        "test_restarts.py::test_a_task_survives_the_restart_of_its_worker",
    ),
    Scenario(
        "test_worker.py::test_worker_restart::test_restart_between_task_execution",
        "test_restarts.py::test_the_next_task_survives_a_restart_between_two",
    ),
    Scenario(
        "test_worker.py::test_worker_restart::test_restart_during_task_execution[POOL_RESTART]",
        "test_restarts.py::test_a_task_survives_the_restart_of_the_pool",
    ),
    Scenario(
        "test_worker.py::test_worker_restart::test_restart_between_task_execution[POOL_RESTART]",
        "test_restarts.py::test_the_next_task_survives_a_restart_of_the_pool_between_two",
    ),
)

SHUTDOWNS = (
    Scenario(
        f"{SHUTDOWN}::test_warm_shutdown", "test_shutdown.py::test_a_warm_shutdown_lets_every_running_task_finish"
    ),
    Scenario(
        f"{SHUTDOWN}::test_multiple_warm_shutdown_does_nothing",
        "test_shutdown.py::test_more_warm_shutdowns_do_nothing_more",
    ),
    Scenario(
        f"{SHUTDOWN}::test_cold_shutdown",
        "test_shutdown.py::test_a_cold_shutdown_ends_the_task_and_gives_its_message_back",
    ),
    Scenario(f"{SHUTDOWN}::test_hard_shutdown_from_warm", "test_shutdown.py::test_a_hard_shutdown_ends_a_warm_one"),
    Scenario(f"{SHUTDOWN}::test_hard_shutdown_from_cold", "test_shutdown.py::test_a_hard_shutdown_ends_a_cold_one"),
    Scenario(
        f"{SHUTDOWN}::test_hard_shutdown_from_cold",
        "test_shutdown.py::test_a_hard_shutdown_ends_a_task_that_ignores_sigterm",
        "Celery 5.6.3 waits for ever for such a task",
    ),
    Scenario(
        f"{SHUTDOWN}::test_hard_shutdown_from_cold", "test_shutdown.py::test_a_kill_ends_a_task_that_ignores_sigterm"
    ),
    Scenario(
        f"{SHUTDOWN}::test_heartbeat_during_shutdown::test_shutdown_with_long_running_tasks",
        reason="heartbeats of AMQP; the Redis protocol has none",
    ),
    Scenario(
        f"{SHUTDOWN}::test_REMAP_SIGTERM::test_cold_shutdown",
        "test_shutdown.py::test_a_cold_shutdown_ends_the_task_and_gives_its_message_back",
    ),
    Scenario(
        f"{SHUTDOWN}::test_REMAP_SIGTERM::test_hard_shutdown_from_cold",
        "test_shutdown.py::test_a_hard_shutdown_ends_a_cold_one",
    ),
    Scenario(f"{SOFT}::test_soft_shutdown", "test_soft_shutdown.py::test_a_task_finishes_during_a_soft_shutdown"),
    Scenario(
        f"{SOFT}::test_hard_shutdown_from_soft",
        "test_soft_shutdown.py::test_a_hard_shutdown_ends_a_soft_one_before_its_time",
    ),
    Scenario(
        f"{SOFT}::test_task_completes_during_soft_shutdown",
        "test_soft_shutdown.py::test_a_task_finishes_during_a_soft_shutdown",
    ),
    Scenario(
        f"{SOFT}::test_time_limit::test_task_completes_during_soft_shutdown_with_time_limit",
        "test_soft_shutdown.py::test_a_task_that_finished_during_a_soft_shutdown_is_no_overrun_afterwards",
    ),
    Scenario(
        f"{SOFT}::test_REMAP_SIGTERM::test_soft_shutdown",
        "test_soft_shutdown.py::test_a_task_finishes_during_a_soft_shutdown",
    ),
    Scenario(
        f"{SOFT}::test_REMAP_SIGTERM::test_hard_shutdown_from_soft",
        "test_soft_shutdown.py::test_a_remapped_sigterm_ends_a_soft_shutdown_before_its_time",
        "in Celery 5.6.3 a remapped SIGTERM never becomes the signal of a hard shutdown",
    ),
    Scenario(
        f"{RESET}::test_soft_shutdown_reset_visibility_timeout",
        "test_soft_shutdown.py::test_an_unfinished_task_goes_back_at_once_and_runs_elsewhere",
    ),
    Scenario(
        f"{RESET}::test_soft_shutdown_reset_visibility_timeout_group_one_finish",
        "test_soft_shutdown.py::test_of_two_tasks_only_the_unfinished_one_goes_back",
    ),
    Scenario(
        f"{RESET}::test_soft_shutdown_reset_visibility_timeout_group_none_finish",
        "test_soft_shutdown.py::test_two_unfinished_tasks_go_back_both",
    ),
    Scenario(
        f"{RESET}::test_REMAP_SIGTERM::test_soft_shutdown_reset_visibility_timeout",
        "test_soft_shutdown.py::test_an_unfinished_task_goes_back_at_once_and_runs_elsewhere",
    ),
    Scenario(
        f"{RESET}::test_REMAP_SIGTERM::test_soft_shutdown_reset_visibility_timeout_group_one_finish",
        "test_soft_shutdown.py::test_of_two_tasks_only_the_unfinished_one_goes_back",
    ),
    Scenario(
        f"{RESET}::test_worker_enable_soft_shutdown_on_idle::test_soft_shutdown",
        "test_soft_shutdown.py::test_an_idle_worker_waits_too_where_it_is_told_to",
    ),
    Scenario(
        f"{RESET}::test_worker_enable_soft_shutdown_on_idle::test_soft_shutdown_eta",
        "test_soft_shutdown.py::test_a_message_that_waits_for_its_hour_goes_back_too",
    ),
)

CONNECTIONS = (
    Scenario(
        f"{PREFETCH}::test_reducing_prefetch_count",
        "test_broker_restart.py::test_as_many_messages_are_taken_after_each_restart_as_slots_are_free",
    ),
    Scenario(
        f"{PREFETCH}::test_prefetch_count_restored",
        "test_broker_restart.py::test_as_many_messages_are_taken_after_each_restart_as_slots_are_free",
    ),
    Scenario(
        f"{PREFETCH}::test_prefetch_count_restored",
        "test_broker_restart.py::test_a_free_slot_takes_the_next_task_while_others_still_run",
    ),
    Scenario(
        f"{PREFETCH}::test_prefetch_count_restored",
        "test_broker_restart.py::test_celery_counts_all_slots_after_a_restart",
    ),
    Scenario(
        f"{PREFETCH}::test_cancel_tasks_on_connection_loss::test_max_prefetch_passed_on_broker_restart",
        "test_broker_restart.py::test_cancelled_tasks_leave_their_slots_to_others",
    ),
    Scenario(
        "test_consumer.py::test_worker_enable_prefetch_count_reduction_false::test_max_prefetch_not_passed_on_broker_restart",
        "test_broker_restart.py::test_a_full_worker_leaves_messages_to_others_after_a_restart",
    ),
    Scenario(
        "test_consumer.py::test_consumer::test_worker_consume_tasks_after_redis_broker_restart",
        "test_broker_restart.py::test_a_worker_consumes_after_an_outage_that_outlasted_its_first_tries",
    ),
    Scenario(
        "test_consumer.py::test_consumer::test_worker_consume_tasks_after_redis_broker_restart",
        "test_broker_restart.py::test_messages_that_wait_outlive_their_broker",
    ),
    Scenario(
        "test_consumer.py::test_consumer::test_worker_consume_tasks_after_redis_broker_restart",
        "test_broker_restart.py::test_a_task_that_runs_while_the_broker_restarts_finishes_once",
    ),
    Scenario(
        "test_consumer.py::test_consumer::test_worker_does_not_hang_on_broker_connection_loss",
        "test_broker_restart.py::test_a_worker_does_not_hang_when_its_broker_dies",
    ),
    Scenario(
        "test_consumer.py::test_consumer::test_worker_does_not_hang_on_broker_connection_loss",
        "test_reconnect.py::test_a_worker_goes_on_when_its_pubsub_connection_is_cut",
    ),
    Scenario(
        ALIAS,
        "test_reconnect.py::test_a_queue_cancelled_by_its_real_name_stays_cancelled_after_a_reconnect",
        "Celery 5.6.3 consumes it again",
    ),
    Scenario(ALIAS, "test_reconnect.py::test_a_cancelled_queue_stays_cancelled_after_a_reconnect"),
    Scenario(ALIAS, "test_reconnect.py::test_a_running_task_is_delivered_again_after_a_reconnect"),
)

TASKS_AND_CONTROL = (
    Scenario(
        "test_tasks.py::test_task_termination::test_child_process_respawn",
        "test_children.py::test_a_child_that_dies_is_replaced_and_the_log_says_why",
    ),
    Scenario(
        "test_tasks.py::test_task_termination::test_terminated_task_logs_correct_error",
        "test_children.py::test_a_child_that_dies_is_replaced_and_the_log_says_why",
    ),
    Scenario(
        "test_tasks.py::test_time_limit::test_soft_time_limit_lower_than_time_limit",
        "test_children.py::test_a_soft_time_limit_comes_before_the_hard_one",
    ),
    Scenario(
        "test_tasks.py::test_time_limit::test_soft_time_limit_must_exceed_time_limit",
        "test_children.py::test_a_soft_time_limit_above_the_hard_one_is_refused",
    ),
    Scenario("test_control.py::test_control::test_sanity", "test_control.py::test_every_worker_answers_a_ping"),
    Scenario(
        "test_control.py::test_control::test_shutdown_exit_with_zero",
        "test_control.py::test_a_shutdown_by_remote_control_ends_with_zero_and_only_there",
    ),
    Scenario(
        "test_signals.py::test_signals::test_sanity", "test_control.py::test_a_worker_sends_each_signal_of_its_life"
    ),
    Scenario(
        "test_signals.py::test_before_task_publish::test_sanity", "test_control.py::test_publishing_sends_its_signals"
    ),
    Scenario(
        "test_signals.py::test_after_task_publish::test_sanity", "test_control.py::test_publishing_sends_its_signals"
    ),
    Scenario(
        "test_thread_safe.py::test_thread_safety::test_multithread_task_publish",
        "test_control.py::test_threads_publish_at_the_same_time",
    ),
    Scenario(
        f"{ROUTING}::test_apply_async_succeeds_with_missing_queue_creation_disabled",
        "test_control.py::test_a_queue_is_used_that_is_declared_where_others_are_not_made",
        "Celery 5.6.3 fails where the default queue is not declared",
    ),
    Scenario(
        "test_gossip.py::test_gossip::test_worker_event_across_timezones_causes_no_drift_warning",
        "test_control.py::test_workers_of_two_time_zones_hear_no_drift",
        "Celery 5.6.3 reports drift between time zones (celery#10418)",
    ),
)

# What stands beside them because it needs the same workers, and answers to none of Celery's.
OWN = frozenset(
    {
        "test_orders.py::test_a_worker_that_is_to_take_nothing_finishes_what_it_runs_and_stays_so_through_everything",
        "test_orders.py::test_nothing_is_lost_or_done_twice_while_orders_change_beside_a_stream_of_tasks",
        "test_reconnect.py::test_a_worker_waits_five_seconds_at_most_between_two_tries_to_reach_its_broker",
        "test_alone.py::test_without_the_setting_a_worker_is_left_alone",
        "test_alone.py::test_each_step_of_a_message_is_told_once",
        "test_alone.py::test_where_no_journal_can_be_kept_tasks_run_all_the_same",
    }
)

NOT_APPLICABLE = (
    Scenario("failover/test_broker_failover.py", reason=f"{RABBITMQ}: a cluster of brokers"),
    Scenario("quorum_queues/test_chord_unlock_routing.py", reason=RABBITMQ),
    Scenario("quorum_queues/test_cycle_detection.py", reason=RABBITMQ),
    Scenario("quorum_queues/test_default_queue_type.py", reason=RABBITMQ),
    Scenario("quorum_queues/test_native_delayed_delivery.py", reason=RABBITMQ),
    Scenario("quorum_queues/test_native_delayed_delivery_binding.py", reason=RABBITMQ),
    Scenario("quorum_queues/test_qos.py", reason=RABBITMQ),
    Scenario("quorum_queues/test_quorum_queues.py", reason=RABBITMQ),
    Scenario("stamping/test_hybrid_cluster.py", reason=STAMPING),
    Scenario("stamping/test_revoke.py", reason=STAMPING),
    Scenario("stamping/test_visitor.py", reason=STAMPING),
    Scenario("test_canvas.py", reason=CANVAS),
    Scenario("test_dedup_chain_dispatch.py", reason=CANVAS),
    Scenario("test_tasks.py::test_replace::test_sanity", reason=CANVAS),
    Scenario("test_rpc_backend.py", reason="results are in PostgreSQL, not in reply queues"),
    Scenario(
        "test_tasks.py::test_task_termination[EXHAUST_MEMORY]",
        reason="off in Celery's own suite; the kernel's killer is the case of SIGKILL",
    ),
)

SCENARIOS = WORKERS + SHUTDOWNS + CONNECTIONS + TASKS_AND_CONTROL + NOT_APPLICABLE
