"""What is computed from results, without drawing: intervals, tests, agreement, power, importance."""
