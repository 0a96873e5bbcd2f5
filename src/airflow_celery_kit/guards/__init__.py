"""Runs in: nothing by itself; limits and breakers: who may begin, decided in the transaction that schedules (ADR 0025)."""
