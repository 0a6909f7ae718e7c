"""Rollouts from vLLM servers: the client, starting and watching servers, moving weights, the freshness probe.

Not allowed here: importing vLLM, except in the worker extension, which only a server loads.
"""
