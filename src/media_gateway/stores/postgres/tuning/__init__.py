"""How wide index searches must be, by measurement: what is chosen, how it is measured, what is kept of it."""
