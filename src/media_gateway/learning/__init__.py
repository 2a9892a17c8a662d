"""Learning from what users do: the log of events, what is derived from it, and recommendations.

It lives in PostgreSQL. Beside it `interests` and `evaluation` are arithmetic that needs no server.
"""
