"""The devices that a user can name."""

from __future__ import annotations

import torch

from raysweep.errors import RaysweepError


def check_device(device: str) -> torch.device:
    """The device of this name.

    Raises:
        RaysweepError: torch knows no such device, or this machine has none.
    """
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise RaysweepError(
            f"--device {device} cannot be used: {first}. Use cpu, or cuda or cuda:N if `raysweep doctor` lists a GPU."
        ) from None
    return torch.device(device)
