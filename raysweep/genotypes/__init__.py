"""Architectures as text: how cells and whole networks are written, parsed and compared. Standard library only."""
