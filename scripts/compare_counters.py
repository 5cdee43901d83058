"""What public counters print for the report's eight models, and Sequela's account.

Prints the page ``docs/counters.md``. The counters are no dependencies of Sequela; these versions:

    python -m venv /tmp/counters
    /tmp/counters/bin/pip install . torchinfo==1.8.0 fvcore==0.1.5.post20221221 ptflops==0.7.5 \
        thop==0.1.1.post2209072238 calflops==0.3.2 transformers==5.24.0 torchprofile==0.1.0 \
        torch-flops==0.4.1 flopth==0.1.6
    /tmp/counters/bin/python scripts/compare_counters.py > docs/counters.md
"""

import contextlib
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from sequela.cost.network import count, registered
from sequela.models.registry import MODELS

Inputs = tuple[Any, ...]
Counter = Callable[[nn.Module, Inputs], Any]


def torchinfo(model: nn.Module, inputs: Inputs) -> int:
    """``mult-adds`` of the summary."""
    from torchinfo import summary

    return int(summary(model, input_data=inputs, verbose=0).total_mult_adds)


def fvcore(model: nn.Module, inputs: Inputs) -> int:
    """``FlopCountAnalysis``."""
    from fvcore.nn import FlopCountAnalysis

    return int(FlopCountAnalysis(model, inputs).total())


def ptflops(backend: str) -> Counter:
    """``get_model_complexity_info`` with one of its two backends."""

    def counter(model: nn.Module, inputs: Inputs) -> Any:
        from ptflops import get_model_complexity_info

        names = ("signal",) if len(inputs) == 1 else ("codes", "offsets", "batch_sizes")
        found, _ = get_model_complexity_info(
            model,
            (1,),
            input_constructor=lambda _: dict(zip(names, inputs, strict=True)),
            as_strings=False,
            print_per_layer_stat=False,
            backend=backend,
        )
        return found

    return counter


def thop(model: nn.Module, inputs: Inputs) -> int:
    """``profile``."""
    from thop import profile

    return int(profile(model, inputs=inputs, verbose=False)[0])


def calflops(model: nn.Module, inputs: Inputs) -> int:
    """``calculate_flops``: FLOPs; the code is DeepSpeed's profiler."""
    from calflops import calculate_flops

    found = calculate_flops(
        model, args=list(inputs), print_results=False, print_detailed=False, output_as_string=False
    )
    return int(found[0])


def torchprofile(model: nn.Module, inputs: Inputs) -> int:
    """``profile_macs``."""
    from torchprofile import profile_macs

    return int(profile_macs(model, inputs))


def torch_flops(model: nn.Module, inputs: Inputs) -> int:
    """``TorchFLOPsByFX``."""
    from torch_flops import TorchFLOPsByFX

    graph = TorchFLOPsByFX(model)
    graph.propagate(*inputs)
    return int(graph.print_total_flops(show=False))


def flopth(model: nn.Module, inputs: Inputs) -> int:
    """``flopth``."""
    from flopth import flopth as run

    return int(run(model, inputs=inputs, bare_number=True)[0])


def flop_counter(device: str) -> Counter:
    """``torch.utils.flop_counter.FlopCounterMode`` on a device."""

    def counter(model: nn.Module, inputs: Inputs) -> int:
        from torch.utils.flop_counter import FlopCounterMode

        moved = [t.to(device) if t.is_floating_point() else t for t in inputs]
        if len(inputs) > 1:  # codes and offsets go with the table; batch sizes stay on the CPU
            moved[:2] = [t.to(device) for t in inputs[:2]]
        with FlopCounterMode(display=False) as mode, torch.no_grad():
            model.to(device)(*moved)
        return int(mode.get_total_flops())

    return counter


def profiler(model: nn.Module, inputs: Inputs) -> int:
    """``torch.profiler`` with ``with_flops``."""
    with torch.profiler.profile(with_flops=True) as recorded, torch.no_grad():
        model(*inputs)
    return int(sum(event.flops for event in recorded.key_averages()))


COUNTERS: dict[str, tuple[str, Counter]] = {
    "torchinfo": ("MACs", torchinfo),
    "fvcore": ("MACs", fvcore),
    "ptflops, pytorch": ("MACs", ptflops("pytorch")),
    "ptflops, aten": ("MACs", ptflops("aten")),
    "thop": ("MACs", thop),
    "torchprofile": ("MACs", torchprofile),
    "flopth": ("FLOPs", flopth),
    "calflops": ("FLOPs", calflops),
    "torch-flops": ("FLOPs", torch_flops),
    "torch FlopCounterMode, CPU": ("FLOPs", flop_counter("cpu")),
    "torch FlopCounterMode, meta": ("FLOPs", flop_counter("meta")),
    "torch profiler, CPU": ("FLOPs", profiler),
}


def printed(counter: Counter, name: str) -> int | str:
    """What a counter prints for a fresh model, or how it fails."""
    network = registered(name)
    model = network.model.eval()
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            found = counter(model, network.inputs(network.lengths))
    except Exception as error:  # noqa: BLE001 - that a counter fails is the finding
        return f"fails: {type(error).__name__}"
    return found if isinstance(found, int) else "fails: gives nothing"


def cell(found: int | str, operations: int, macs: int) -> str:
    """A count, marked where it is one of ours."""
    if isinstance(found, str):
        return found
    marks = {operations: " (operations)", macs: " (MACs)", 2 * macs: " (2 x MACs)"}
    return f"{found:,}{marks.get(found, '')}"


def alone(title: str) -> list[int | str]:
    """What a counter prints for all models, in a process of its own: some leave torch changed."""
    run = subprocess.run([sys.executable, __file__, title], capture_output=True, check=True)  # noqa: S603
    found: list[int | str] = json.loads(run.stdout)
    return found


def main() -> None:
    """Print the page; or, given a counter's name, what it prints for each model, as JSON."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if sys.argv[1:]:
        _, counter = COUNTERS[sys.argv[1]]
        print(json.dumps([printed(counter, name) for name in MODELS]))
        return
    accounts = [count(registered(name)) for name in MODELS]
    lines = ["| | counts | " + " | ".join(MODELS) + " |", "|---" * (len(MODELS) + 2) + "|"]
    lines += [
        f"| **sequela** | operations | {' | '.join(f'{a.operations:,}' for a in accounts)} |",
        f"| **sequela** | MACs | {' | '.join(f'{a.macs:,}' for a in accounts)} |",
    ]
    for title, (unit, _) in COUNTERS.items():
        row = [cell(n, a.operations, a.macs) for n, a in zip(alone(title), accounts, strict=True)]
        lines.append(f"| {title} | {unit} | {' | '.join(row)} |")
    print(PAGE.format(torch=version("torch").partition("+")[0], table="\n".join(lines)))


PAGE = """# Other counters

Parameters and operations of the report's eight models, for one segment of 178 samples or one
patient with 20 visits of 11 codes. Each counter was run on the unchanged model
with torch {torch}; a number in brackets names the equal number of Sequela. The page is written by
`scripts/compare_counters.py`, whose header has the versions.

{table}

## Why the numbers differ

**Definitions.** Our *operations* are all additions, multiplications and elementary functions
([conventions](cost.md#conventions)); our *MACs* are multiplications by a weight. Most counters
count MACs, some call twice the MACs FLOPs, and some add a part of the rest: no two definitions
are the same.

- **torchinfo** multiplies each layer's parameters by its output positions, so a bias counts as a
  multiplication: 2,949 is 2,928 + 21 biases. Activations and pooling count 0. A GRU is its 912
  parameters at each of 178 steps. For a sum of rows (visits) the rule is meaningless.
- **fvcore** is correct if it has a rule. It has none for a recurrent layer or a bag of
  embeddings: both count 0, with an inconspicuous warning. 80 and 592 are the Linear layers
  after the GRU.
- **ptflops, pytorch** adds biases, and counts ReLU and pooling twice (once for the module, once
  for the function inside): 246,533 is 243,456 + 1,029 biases + 2 x 1,024. For a GRU step it has
  another formula (1,024, where the products alone are 816). On a packed sequence it returns
  nothing.
- **ptflops, aten** counts the operators of the dispatcher on the CPU: products and biases. There an
  LSTM is one fused kernel without a rule, and a sum of rows has none: 154 is the count of the
  two last Linear layers of visits-improved.
- **thop** is correct for the feed-forward models. A GRU step is 1,024 here too; a sum of rows is 0.
- **torchprofile** is correct for the feed-forward models. A GRU is 0; an LSTM is 16 times its
  products: 2,293,904 is 16 x 143,360 + 144.
- **flopth** prints FLOPs and counts MACs, plus ReLU once for each value and pooling once for each
  value that is read: 134,540 is 129,668 + 2,500 + 2,372. Sigmoid is 0. It crashes on a recurrent
  layer.
- **calflops** (DeepSpeed's counter) counts 2 x MACs + ReLU + pooling + the bias of a convolution.
  A Linear layer is 2·n·m whether it has a bias or not, so mlp-improved is our number, and
  mlp-baseline is not, because the sigmoid is missing: 5,856 + 64. A GRU step is 1,744, not 1,984.
  It crashes on a packed sequence.
- **torch-flops** measures the memory of a GPU while it counts, and fails without one; lengths of
  visits cannot be traced by torch.fx.
- **FlopCounterMode** of torch is 2 x the products of matrices and convolutions:
  no bias, no activation, no pooling. On the CPU an LSTM is one fused kernel and counts 0 (288 are
  the two last Linear layers of visits-improved); on `meta` it is decomposed and correct. A sum of
  rows is 0.
- **torch profiler** has formulas for matrix products, additions and multiplications. A
  convolution runs in a kernel without a formula: 169,216 are the two Linear layers of
  cnn-baseline alone.
"""

if __name__ == "__main__":
    main()
