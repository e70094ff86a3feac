"""Seeds: every use of randomness in a trial gets its own, derived by hashing, so that seeds 0 and 1 share nothing."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose of a trial's seed."""
    return int.from_bytes(hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=8).digest()) >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose; weights are drawn on the CPU so that every device starts from the same ones."""
    return torch.Generator().manual_seed(derive(seed, purpose))


def seed_torch(seed: int) -> None:
    """Seed torch's own generators (CPU and accelerators): dropout and random slopes draw from them."""
    torch.manual_seed(derive(seed, "torch"))
