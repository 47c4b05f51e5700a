"""What every translation reads with: strict JSON, columns of numbers, stamps, the rows of a window."""
