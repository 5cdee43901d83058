"""The state of a fit after an epoch: one safetensors file with a JSON header."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sequela.errors import RunError
from sequela.models import stored
from sequela.training.history import History, record

FILE = "state.safetensors"
_REMEDY = "delete the run and train again"  # a checkpoint cannot be repaired
_GROUPS = ("model", "average", "best", "generators")  # of tensors, by field of a checkpoint


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the rest of a fit depends on: tensors and states after the last epoch.

    ``average`` is the running average of the weights with the number of its terms, ``best`` the
    averaged tensors after the best epoch so far.
    """

    model: dict[str, Tensor]
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, Any]
    schedule: dict[str, object]
    generators: dict[str, Tensor]
    history: History

    def save(self, folder: Path) -> None:
        """Write the checkpoint; it replaces the previous one in one step."""
        # One file, because its parts must be of the same step: names have their group before a /.
        tensors: dict[str, Tensor] = {}
        for group in _GROUPS:
            tensors |= {f"{group}/{k}": v for k, v in getattr(self, group).items()}
        for index, slots in self.optimiser["state"].items():
            tensors |= {f"optimiser/{index}/{slot}": value for slot, value in slots.items()}
        header = {
            "optimiser": self.optimiser["param_groups"],
            "schedule": self.schedule,
            "history": [asdict(record) for record in self.history],
        }
        stored.write(folder / FILE, tensors, header)

    @classmethod
    def load(cls, folder: Path) -> "Checkpoint":
        """Read the checkpoint of a folder."""
        path = folder / FILE
        if not path.exists():
            raise RunError(f"{path}: not found; there is no run to resume: train without --resume")
        groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
        slots: dict[int, dict[str, Tensor]] = {}
        header, tensors = stored.read(path, "the state of a fit", _REMEDY)
        try:
            # Names are GROUP/NAME, and of the optimiser GROUP/PARAMETER/SLOT.
            for key, tensor in tensors.items():
                group, _, name = key.partition("/")
                if group == "optimiser":
                    index, _, slot = name.partition("/")
                    slots.setdefault(int(index), {})[slot] = torch.as_tensor(tensor)
                else:
                    groups[group][name] = torch.as_tensor(tensor)
            optimiser, schedule = header["optimiser"], header["schedule"]
            records = [record(values) for values in header["history"]]
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path}: damaged ({error}); {_REMEDY}") from error
        return cls(
            **groups,
            optimiser={"state": slots, "param_groups": optimiser},
            schedule=schedule,
            history=records,
        )


def clone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy a model's tensors, so that later steps do not change them."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def generator_states(data_order: torch.Generator) -> dict[str, Tensor]:
    """Return the states of all generators that a fit draws from."""
    # The order of batches and dropout must go on where they were: a resumed fit has equal bytes.
    states = {"data_order": data_order.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_generators(states: dict[str, Tensor], data_order: torch.Generator) -> None:
    """Set all generators that a fit draws from."""
    data_order.set_state(states["data_order"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
