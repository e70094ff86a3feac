"""Import torchvision, whose ordinary build does not load with a CPU build of torch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

_declared: list[Any] = []
"""Keeps the torch.library.Library alive: its operators disappear when it is collected."""


def import_torchvision() -> ModuleType:
    """Import torchvision, even if its build does not match that of torch.

    The ordinary torchvision is linked against CUDA and cannot register its operators with a CPU build of torch; its
    import then fails because two operators are missing. Declaring them makes everything else work.
    """
    import torch

    if torch.version.cuda is None and torch.version.hip is None and not _declared:
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
    import torchvision

    return torchvision  # type: ignore[no-any-return]
