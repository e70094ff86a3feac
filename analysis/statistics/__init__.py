"""What is computed from results, with nothing drawn: intervals, tests, agreement, importance."""
