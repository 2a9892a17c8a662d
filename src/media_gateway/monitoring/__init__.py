"""What the gateway tells about itself: counters, histograms and readings, for Prometheus and for the terminal."""
