"""The systems that are measured, a module each; `registry` knows them by name."""
