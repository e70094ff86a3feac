"""This process and its machine: what it may use, what it starts, and how it ends. Standard library only."""
