"""`model.py`: the network as a plain torch file, from the graph that torch.export has traced."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

HEAD = '''"""The trained network as plain torch code; `load()` reads its weights. Needs torch and safetensors.

pixels (N, {channels}, {side}, {side}), float32 grey levels 0 to 255 -> logits (N, {outputs}), in evaluation mode.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import device, inf, nan

WEIGHTS = Path(__file__).with_name("model.safetensors")
NAMES = {names}


class Network(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        for own, name in NAMES.items():
            value = weights[name]
            if value.is_floating_point() and own.startswith("p_"):
                self.register_parameter(own, torch.nn.Parameter(value))
            else:
                self.register_buffer(own, value)

    def forward(self, pixels):
        return compute(*(getattr(self, own) for own in NAMES), pixels)[0]


def load():
    return Network(load_file(WEIGHTS)).eval()


'''


def inputs_of(exported: torch.export.ExportedProgram) -> dict[str, str]:
    """Argument of the traced function -> name of its weight, in the order of the arguments."""
    signature = exported.graph_signature
    named: Mapping[str, str] = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    arguments = [node.name for node in exported.graph.nodes if node.op == "placeholder"]
    return {name: named[name] for name in arguments if name in named}


def weights_of(exported: torch.export.ExportedProgram) -> dict[str, Tensor]:
    """Name -> value: the network's state, and the constants that the traced function takes."""
    used = {name: exported.constants[name] for name in inputs_of(exported).values() if name in exported.constants}
    return {name: value.detach().contiguous().clone() for name, value in {**exported.state_dict, **used}.items()}


def plain_code(exported: torch.export.ExportedProgram, shape: tuple[int, int, int], outputs: int) -> str:
    """The text of `model.py`."""
    names = "{\n" + "".join(f"    {own!r}: {name!r},\n" for own, name in inputs_of(exported).items()) + "}"
    code = re.sub(r";  [\w = ]+ = None$", "", exported.graph_module.code.strip(), flags=re.M)
    function = code.replace("def forward(self, ", "def compute(", 1)
    head = HEAD.format(channels=shape[0], side=shape[1], outputs=outputs, names=names)
    return head + function.rstrip() + "\n"
