"""Runs in: airflow-controller; pure: the policies that weigh waiting tasks again as time goes by, one a file."""
