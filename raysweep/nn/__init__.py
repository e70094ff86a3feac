"""The layers, initial weights and builders of networks; one registry per file."""
