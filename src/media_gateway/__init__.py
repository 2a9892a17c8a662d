"""The vector layer of a film and series discovery product: one contract, in memory and on PostgreSQL."""
