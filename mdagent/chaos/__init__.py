"""Experiments on the agent itself: a hypothesis, faults from a seed, and a verdict that can fail."""
