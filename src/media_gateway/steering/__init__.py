"""Steering a rollout from outside of the process that serves: reading its state, and setting another one.

The command line and the service's routes for operators do it by these functions alike.
"""
