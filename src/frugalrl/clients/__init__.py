"""Requests to servers of models: one connection, one set of faults, one way of trying again.

Rollouts (rollout/server), evaluation of a served model and curation's solvers ask through this room. Not allowed here:
knowing what a reply is for.
"""
