"""How good are these bars: pure functions from a set of bars to findings, a verdict and a grade."""
