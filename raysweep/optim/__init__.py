"""Update rules (torch) and learning-rate schedules (plain arithmetic)."""
