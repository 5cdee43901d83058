"""Attribution of a prediction to its inputs by integrated gradients, with captum.

A prediction is explained as the difference of a logit (or of a difference of logits) from the
output for a baseline without information: a flat segment, or visits without codes. The attributions
of all inputs sum to that difference up to an error of the numerical integral, which every result
states (Sundararajan, Taly and Yan 2017, arXiv 1703.01365).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.errors import ModelError, extra
from sequela.models.visits import MultiHotLinear
from sequela.sequences.visit_batches import STEPPED, TENSORS, VisitBatch

STEPS = 64  # steps of the integral at first
MOST_STEPS = 4096  # steps of the integral at most
TOLERANCE = 0.01
"""Completeness error, as a share of the difference, above which the steps are doubled."""
_SLOW = 6  # power of the path from a flat segment: logarithms change most where it is nearly flat
_SMALLEST = 1e-6  # a smaller difference counts as this one
_AT_ONCE = 1 << 16  # codes times steps, or steps of a signal's samples, in one pass


@dataclass(frozen=True, eq=False)
class Attribution:
    """The attribution of a number of the model, relative to its baseline.

    ``values`` are float64, one for each input, ``baseline`` and ``reached`` the numbers for the
    baseline and for the example, ``steps`` those of the integral.
    """

    values: NDArray[np.float64]
    baseline: float
    reached: float
    steps: int

    @property
    def difference(self) -> float:
        """The difference that the attributions explain."""
        return self.reached - self.baseline

    @property
    def error(self) -> float:
        """The completeness error: the distance of the attributions' sum from the difference."""
        return abs(float(self.values.sum()) - self.difference)

    @property
    def relative_error(self) -> float:
        """The completeness error as a share of the difference."""
        return self.error / max(abs(self.difference), _SMALLEST)


def contrast(n_classes: int, index: int) -> Tensor:
    """Return weights (class,) of the logits: the logit of a class; of two classes, its log-odds.

    Example:
        >>> contrast(2, 1).tolist(), contrast(3, 0).tolist()
        ([-1.0, 1.0], [1.0, 0.0, 0.0])
    """
    one_hot = nn.functional.one_hot(torch.tensor(index), n_classes).double()
    return one_hot - one_hot.flip(0) if n_classes == 2 else one_hot  # noqa: PLR2004


def contrast_of_event(size: int, n_classes: int) -> Tensor:
    """Return weights (class,) of the logits of times to an event in ``size`` intervals.

    The number, ``NUMBER_OF_EVENT``, rises with the risk of the event.
    """
    weights = torch.zeros(n_classes, dtype=torch.float64)
    weights[0], weights[1 : 1 + size] = -1, 1 / size
    return weights


NUMBER_OF_EVENT = "mean logit of the event's intervals, minus the logit of no event"


def number_of(classes: Sequence[str], name: str) -> str:
    """Name the number that the weights of :func:`contrast` explain.

    Example:
        >>> number_of(("survived", "died"), "died"), number_of(("a", "b", "c"), "b")
        ('log-odds of died', 'logit of b')
    """
    return f"{'log-odds' if len(classes) == 2 else 'logit'} of {name}"  # noqa: PLR2004


def attribute_signal(
    model: nn.Module, signal: Tensor, weights: Tensor, steps: int | None = None
) -> Attribution:
    """Attribute a prediction to the samples of a segment, relative to a flat segment at the mean.

    Args:
        model: Logits (batch, class) of scaled segments (batch, n_chans, n_times).
        signal: float (n_chans, n_times), scaled, so that 0 is the mean of the training set.
        weights: float (class,), see :func:`contrast`.
        steps: Steps of the integral; by default doubled from 64 until the error is below 1 %.
    """
    exact, end = _exact(model), signal.double()

    def number(shares: Tensor) -> Tensor:
        logits: Tensor = exact(end * shares**_SLOW)  # (step, class)
        return (logits @ weights)[:, None]

    (attribution,) = _refined(number, torch.ones_like(end)[None], lambda values: [values], steps)
    return attribution


def attribute_visits(
    model: nn.Module, batch: VisitBatch, weights: Tensor, steps: int | None = None
) -> list[Attribution]:
    """Attribute the predictions for some patients to codes, relative to visits without codes.

    The first layer, a ``MultiHotLinear``, sums the rows of the present codes, so each code is a
    separate input, of weight 1; the path leads from all weights 0 to all 1. Patients do not
    interact in the model, so one gradient of the sum over patients holds those of each.

    The batch is on the CPU, weights and steps are as in :func:`attribute_signal`. There is one
    result for each patient in the order of the batch, its ``values`` (code,) in the order of the
    patient's codes in the batch.
    """
    exact = _exact(model)
    _layer_of_codes(exact)
    visit = torch.repeat_interleave(torch.arange(len(batch.offsets) - 1), batch.offsets.diff())
    patient = torch.cat([torch.arange(int(size)) for size in batch.batch_sizes])[visit].numpy()

    def numbers(present: Tensor) -> Tensor:
        """Return the number of each patient: (step, patient), from code weights (step, code)."""
        n_steps = len(present)
        with _present(exact, batch, present):
            logits: Tensor = exact(batch.codes, batch.offsets, batch.batch_sizes * n_steps)
        return (logits @ weights).view(len(batch), n_steps).T

    return _refined(
        numbers,
        torch.ones(1, len(batch.codes), dtype=torch.float64),
        lambda values: [values[patient == index] for index in range(len(batch))],
        steps,
    )


def attribute_record(
    model: nn.Module, batch: VisitBatch, weights: Tensor, steps: int | None = None
) -> Attribution:
    """Attribute the prediction for one patient to codes, measurements and features.

    The path begins at a record without codes, whose measurements and features are at the mean of
    the training set; the times of measurements do not change. As in :func:`attribute_visits`, for a
    batch of one patient. The ``values`` (input,) are for the codes, for each measurement present by
    visit and channel, for static columns and for features, as far as the model reads them.
    """
    exact = _exact(model)
    parts = dict(_of_path(batch))
    sizes = [part.numel() for part in parts.values()]

    def number(shares: Tensor) -> Tensor:
        """Return the number of the patient: (step, 1), from shares (step, input)."""
        n_steps = len(shares)
        arguments: dict[str, Tensor] = {"batch_sizes": batch.batch_sizes * n_steps}
        for name, moved in zip(parts, shares.split(sizes, 1), strict=True):
            if name == "values":
                cells = torch.zeros(n_steps, *batch.mask.shape, dtype=torch.float64)  # type: ignore[union-attr]
                cells[:, batch.mask] = moved * parts[name]
                arguments[name] = cells.transpose(0, 1).flatten(0, 1)  # in packed order
            elif name != "codes":
                arguments[name] = moved * parts[name]
        if batch.mask is not None:
            arguments["mask"] = batch.mask.repeat_interleave(n_steps, 0)
        if batch.gaps is not None:
            arguments["gaps"] = batch.gaps.double().repeat_interleave(n_steps, 0)
        arguments |= {"codes": batch.codes, "offsets": batch.offsets}
        heads = [read.partition(":")[0] for read in batch.reads]
        names = list(chain.from_iterable(TENSORS[head] for head in heads))
        if STEPPED & {*heads}:
            names.append("batch_sizes")
        with ExitStack() as hooks:
            if "codes" in parts:
                present = shares.split(sizes, 1)[[*parts].index("codes")]
                hooks.enter_context(_present(exact, batch, present))
            logits: Tensor = exact(*(arguments[name] for name in names))
        return (logits @ weights)[:, None]

    ones = torch.ones(1, sum(sizes), dtype=torch.float64)
    (attribution,) = _refined(number, ones, lambda values: [values], steps)
    return attribution


def _of_path(batch: VisitBatch) -> Iterator[tuple[str, Tensor]]:
    """Yield the inputs on the path from the baseline to one patient: name, and float64 (input,)."""
    heads = [read.partition(":")[0] for read in batch.reads]
    if "codes" in heads:
        yield "codes", torch.ones(len(batch.codes), dtype=torch.float64)
    if "values" in heads and batch.values is not None:
        yield "values", batch.values[batch.mask].double()
    for name in ("static", "features"):
        tensor = getattr(batch, name)
        if name in heads and tensor is not None:
            yield name, tensor[0].double()


@contextmanager
def _present(model: nn.Module, batch: VisitBatch, present: Tensor) -> Iterator[None]:
    """Replace the sums of each visit's codes by sums with weights (step, code), in packed order."""
    layer, n_steps = _layer_of_codes(model), len(present)
    visit = torch.repeat_interleave(torch.arange(len(batch.offsets) - 1), batch.offsets.diff())
    rows = layer.weight[batch.codes].detach()  # (code, embed)
    summed = rows.new_zeros(len(batch.offsets) - 1, n_steps, rows.shape[1])
    summed = summed.index_add(0, visit, present.T[:, :, None] * rows[:, None, :])
    # Each visit is repeated for each step of the integral, which keeps the packed order.
    sums = summed.flatten(0, 1) + layer.bias
    hook = layer.register_forward_hook(lambda *_: sums)
    try:
        yield
    finally:
        hook.remove()


def _layer_of_codes(model: nn.Module) -> MultiHotLinear:
    layer = next((m for m in model.modules() if isinstance(m, MultiHotLinear)), None)
    if layer is None:
        raise ModelError(f"{type(model).__name__} has no MultiHotLinear, whose codes are explained")
    return layer


def _exact(model: nn.Module) -> nn.Module:
    """Copy a model in double precision, so that the error is that of the integral."""
    return deepcopy(model).double().cpu().eval().requires_grad_(requires_grad=False)


def _refined(
    numbers: Callable[[Tensor], Tensor],
    inputs: Tensor,
    split: Callable[[NDArray[np.float64]], list[NDArray[np.float64]]],
    steps: int | None,
) -> list[Attribution]:
    """Compute integrated gradients from zeros to ``inputs`` (1, ...) for each example.

    ``numbers`` takes inputs (step, ...) and returns the explained numbers (step, example);
    ``split`` divides values for the inputs by example. Without ``steps``, they are doubled until
    the error is small.
    """
    with torch.inference_mode():
        baseline, reached = numbers(torch.zeros_like(inputs))[0], numbers(inputs)[0]
    n_steps = steps or STEPS
    while True:
        values = split(_integrated(numbers, inputs, n_steps))
        attributions = [
            Attribution(*example, n_steps)
            for example in zip(values, baseline.tolist(), reached.tolist(), strict=True)
        ]
        good = all(attribution.relative_error <= TOLERANCE for attribution in attributions)
        if good or steps is not None or n_steps >= MOST_STEPS:
            return attributions
        n_steps *= 2


def _integrated(
    numbers: Callable[[Tensor], Tensor], inputs: Tensor, steps: int
) -> NDArray[np.float64]:
    """Return captum's integral of the sum over examples: float64, in the shape of one input."""
    with extra("explain", "an explanation"):
        from captum.attr import IntegratedGradients
    if not inputs.numel():
        return np.zeros(inputs.shape[1:])
    gradients = IntegratedGradients(lambda steps_inputs: numbers(steps_inputs).sum(1))
    values: Tensor = gradients.attribute(
        inputs,
        baselines=torch.zeros_like(inputs),
        n_steps=steps,
        internal_batch_size=max(1, min(steps, _AT_ONCE // inputs.numel())),
    )
    return values[0].detach().numpy()
