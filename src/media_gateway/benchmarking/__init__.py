"""Measuring the stores beside their peers: `run_benchmark` measures, `report` writes down."""
