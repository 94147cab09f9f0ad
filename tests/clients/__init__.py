"""Clients that others wrote, against the real server.

The clients of Triton and KServe need packages that this project's do not go with: each runs its
folder in an environment of its own (test_environments.py).
"""
