"""One trial: the training loop in plain torch, and what Ray Train runs around it."""
