"""The factors of the study that are layers or initial weights; one registry a file."""
