"""Interests in PostgreSQL: learned batch by batch in transactions, recommended from by index."""
