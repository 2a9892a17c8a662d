"""How well interests are learned: protocols, baselines, measures. See docs/learning.md."""
