"""Seeds: every use of randomness in a trial has its own, derived by hashing, so that seeds 0 and 1 share nothing."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, purpose: str) -> int:
    """Derive a 63-bit seed for one purpose from a trial's seed."""
    return int.from_bytes(hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=8).digest()) >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """Make a CPU generator for one purpose: weights drawn on the CPU are the same for every device."""
    return torch.Generator().manual_seed(derive(seed, purpose))


def seed_torch(seed: int) -> None:
    """Seed torch's global generators (CPU and accelerators), which dropout and random slopes use."""
    torch.manual_seed(derive(seed, "torch"))
