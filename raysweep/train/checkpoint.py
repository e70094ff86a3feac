"""A trial's state as bytes that load without executing code."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from raysweep.errors import RaysweepError

CHECKPOINT_VERSION = 1


def save(network: nn.Module, solver: torch.optim.Optimizer, position: dict[str, Any], device: torch.device) -> bytes:
    """Save weights, solver state, random generators and the position in the training (plain numbers)."""
    state = {
        "version": CHECKPOINT_VERSION,
        "network": network.state_dict(),
        "solver": solver.state_dict(),
        "rng": torch.get_rng_state(),
        "device_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "position": position,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load(content: bytes, network: nn.Module, solver: torch.optim.Optimizer, device: torch.device) -> dict[str, Any]:
    """Restore network, solver and generators; returns the position.

    Raises:
        RaysweepError: not a checkpoint of this version of raysweep, or of another network.
    """
    state = _read(content)
    try:
        network.load_state_dict(state["network"])
        solver.load_state_dict(state["solver"])
        torch.set_rng_state(state["rng"])
        if device.type == "cuda" and state["device_rng"] is not None:
            torch.cuda.set_rng_state(state["device_rng"], device)
        position: dict[str, Any] = state["position"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RaysweepError(f"the checkpoint does not fit this trial's network: {error}") from error
    return position


def weights(content: bytes) -> dict[str, Any]:
    """Return the parameters and buffers of the network in a checkpoint, on the CPU.

    Raises:
        RaysweepError: not a checkpoint of this version of raysweep.
    """
    found: dict[str, Any] = _read(content)["network"]
    return found


def epoch_of(content: bytes) -> int:
    """Return the epoch at whose end a checkpoint was written.

    Raises:
        RaysweepError: not a checkpoint of this version of raysweep.
    """
    return int(_read(content)["position"]["epoch"])


def _read(content: bytes) -> dict[str, Any]:
    try:
        # Generators need their state on the CPU; load_state_dict copies weights to the network's device.
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        version, _ = state["version"], (state["network"], state["solver"], state["position"])
    except Exception as error:  # torch raises many types for damaged files
        raise RaysweepError(f"the checkpoint cannot be read ({type(error).__name__}: {error}).") from error
    if version != CHECKPOINT_VERSION:
        raise RaysweepError(f"the checkpoint has version {version}, but this raysweep reads {CHECKPOINT_VERSION}.")
    return state
