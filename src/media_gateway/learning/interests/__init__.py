"""The mathematics of interests: what is counted, what is solved from it, and how scores become one. No I/O."""
