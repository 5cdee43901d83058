"""Attribution of predictions to their inputs by integrated gradients, with captum.

A prediction is explained as the difference of a logit (or of a difference of logits) from the
output for a baseline without information: a flat segment, or visits without codes. The attributions
of all inputs sum to that difference up to an error of the numerical integral, which every result
states (Sundararajan, Taly and Yan 2017, arXiv 1703.01365).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
        # The path moves slowly near the flat segment, where features such as the logarithm of power
        # change most: the integral then needs fewer steps. Any path from the baseline to the input
        # sums to the same difference.
        logits: Tensor = exact(end * shares**_SLOW)  # (step, class)
        return logits @ weights

    return _refined(number, torch.ones_like(end)[None], steps)


def attribute_record(
    model: nn.Module, batch: VisitBatch, weights: Tensor, steps: int | None = None
) -> Attribution:
    """Attribute the prediction for one patient to codes, measurements and features.

    The path begins at a record without codes, whose measurements and features are at the mean of
    the training set; the times of measurements do not change. The first layer of codes, a
    ``MultiHotLinear``, sums the rows of the present codes, so each code is a separate input, whose
    weight rises from 0 to 1.

    The batch holds one patient and is on the CPU; weights and steps are as in
    :func:`attribute_signal`. The ``values`` (input,) are for the codes, for each measurement
    present by visit and channel, for static columns and for features, as far as the model reads
    them.
    """
    exact = _exact(model)
    parts = dict(_of_path(batch))
    sizes = [part.numel() for part in parts.values()]

    def number(shares: Tensor) -> Tensor:
        """Return the number of the patient: (step,), from shares (step, input)."""
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
                # A code is present or absent: the path moves the weight of its row from 0 to 1.
                present = shares.split(sizes, 1)[[*parts].index("codes")]
                hooks.enter_context(_present(exact, batch, present))
            logits: Tensor = exact(*(arguments[name] for name in names))
        return logits @ weights

    return _refined(number, torch.ones(1, sum(sizes), dtype=torch.float64), steps)


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


def _refined(number: Callable[[Tensor], Tensor], inputs: Tensor, steps: int | None) -> Attribution:
    """Compute integrated gradients from zeros to ``inputs`` (1, ...).

    ``number`` takes inputs (step, ...) and returns the explained numbers (step,). Without
    ``steps``, they are doubled until the error is small.
    """
    with torch.inference_mode():
        baseline, reached = number(torch.zeros_like(inputs)).item(), number(inputs).item()
    n_steps = steps or STEPS
    while True:
        values = _integrated(number, inputs, n_steps)
        attribution = Attribution(values, baseline, reached, n_steps)
        good = attribution.relative_error <= TOLERANCE
        if good or steps is not None or n_steps >= MOST_STEPS:
            return attribution
        n_steps *= 2


def _integrated(
    number: Callable[[Tensor], Tensor], inputs: Tensor, steps: int
) -> NDArray[np.float64]:
    """Return captum's integral: float64, in the shape of one input."""
    with extra("explain", "an explanation"):
        from captum.attr import IntegratedGradients
    if not inputs.numel():
        return np.zeros(inputs.shape[1:])
    values: Tensor = IntegratedGradients(number).attribute(
        inputs,
        baselines=torch.zeros_like(inputs),
        n_steps=steps,
        internal_batch_size=max(1, min(steps, _AT_ONCE // inputs.numel())),
    )
    return values[0].detach().numpy()


Explained = tuple[int, NDArray[np.integer], Attribution]
"""Subject, places of the inputs among their names, and attributions."""


@dataclass(frozen=True)
class CodeImportance:
    """The effect of a code on the predictions for the test set.

    ``mean_absolute`` is over all test examples, ``mean`` over those that have the code.
    """

    code: str
    subjects: int
    mean_absolute: float
    mean: float


@dataclass(frozen=True)
class Importance:
    """The codes of the test set by importance, and the relative completeness error of the examples.

    ``codes`` has the most important first; codes of fewer than 10 subjects are only counted.
    """

    what: str
    codes: tuple[CodeImportance, ...]
    suppressed: int
    examples: int
    median_error: float
    largest_error: float


def ranked(
    names: Sequence[str],
    explained: Iterable[Explained],
    examples: int,
    what: str,
    smallest: int,
) -> Importance:
    """Rank names of codes or inputs by their mean absolute attribution over ``examples`` examples.

    ``explained`` has for each example its subject, the places (input,) of its inputs among the
    names, and the attribution of each. Inputs of fewer subjects are counted, not named.
    """
    size = len(names)
    absolute, summed, present = np.zeros(size), np.zeros(size), np.zeros(size)
    subject_places: set[tuple[int, int]] = set()
    errors = []
    for subject, places, attribution in explained:
        # A code in several visits counts together.
        at = np.bincount(places, attribution.values, size)
        distinct = np.unique(places)
        absolute[distinct] += np.abs(at[distinct])
        summed[distinct] += at[distinct]
        present[distinct] += 1
        subject_places.update((subject, place) for place in distinct.tolist())
        errors.append(attribution.relative_error)
    subjects = np.bincount([place for _, place in subject_places], minlength=size)
    frequent = np.flatnonzero(subjects >= smallest)
    order = frequent[np.argsort(-absolute[frequent], kind="stable")]
    codes = []
    for i in order:
        means = float(absolute[i] / examples), float(summed[i] / present[i])
        codes.append(CodeImportance(names[i], int(subjects[i]), *means))
    hidden = int(((subjects > 0) & (subjects < smallest)).sum())
    ends = float(np.median(errors)), float(np.max(errors))
    return Importance(what, tuple(codes), hidden, examples, *ends)
