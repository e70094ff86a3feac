"""Sweeps: each kind prepares a request, carries it out and finishes."""
