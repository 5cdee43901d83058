"""The network to count: a registered model, or a class from a file or package, and its input."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from sequela.cost import account
from sequela.cost.ledger import Account, Amount, together
from sequela.cost.references import with_features
from sequela.datasets.catalog import Modality
from sequela.errors import SettingError
from sequela.models.inputs import SIZES, VISITS, at_most, kind_of, positive, sizes_of
from sequela.models.loading import attribute, built
from sequela.models.registry import MODELS, ModelEntry, lookup_network
from sequela.sequences.signal_batches import SignalBatch
from sequela.sequences.visit_batches import VisitBatch

# Diagnoses of a stay in MIMIC-III: 651,047 over 58,976 admissions.
CODES_PER_VISIT = 11
MOST_SEQUENCES = 10_000  # the limit for the sequences of a batch; each is a Python object
_LENGTHS = re.compile(r"[0-9]{1,9}(\.\.[0-9]{1,9}|(, ?[0-9]{1,9})*)")
REMEDY = "Its arguments are given with --kwargs JSON"

Inputs = tuple[object, ...]


@dataclass(frozen=True)
class Network:
    """A model, and the way to make the arguments of its forward for sequences of some lengths.

    ``slots`` are the steps of a padded batch; a ``packed`` model does no work on the padding.
    ``described`` is the input in words, where its shapes alone would be unclear. The cost of the
    features that a registered model ``reads`` precedes its own.
    """

    name: str
    model: nn.Module
    inputs: Callable[[Sequence[int]], Inputs]
    lengths: tuple[int, ...]
    slots: int
    described: str = ""
    packed: bool = False
    reads: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)


def count(network: Network, *, convention: str = "exact", allow_unknown: bool = False) -> Account:
    """Count a network, with useful and executed work counted separately."""
    counted = partial(account, network.model, convention=convention, allow_unknown=allow_unknown)
    rows = len(network.lengths) * network.slots if network.packed else None
    batch = counted(network.inputs(network.lengths), name=network.name, padded_rows=rows)
    batch = with_features(batch, network.reads, network.sizes, network.lengths)
    batch = replace(batch, inputs=network.described or batch.inputs)
    if network.packed or set(network.lengths) == {network.slots}:
        return batch
    # The useful work of a padded batch is the sum over its samples, each counted without padding.
    useful: defaultdict[str, Amount] = defaultdict(lambda: Amount(0, 0))
    for length, times in Counter(network.lengths).items():
        for layer in counted(network.inputs([length])).layers:
            useful[layer.name] += together(repeat(layer.useful, times))
    layers = (replace(layer, useful=useful[layer.name]) for layer in batch.layers)
    return replace(batch, layers=tuple(layers))


def registered(
    name: str,
    settings: Mapping[str, object] | None = None,
    *,
    steps: int | None = None,
    lengths: Sequence[int] | None = None,
    slots: int | None = None,
    codes: int | None = None,
) -> Network:
    """Return one of Sequela's own models, with the settings that differ from its defaults.

    ``steps`` are the samples of a segment, or the visits of a patient (20 by default). A batch of
    patients has ``lengths`` visits each, of 11 ``codes`` by default, and is padded to ``slots``.
    """
    entry = lookup_network(name)
    settings = dict(settings or {})
    if kind_of(entry.reads[0]) is Modality.EEG:
        if (lengths, slots, codes) != (None, None, None):
            raise SettingError(f"{name} reads segments of one length, no visits: give --steps N")
        if steps is not None:
            settings["n_times"] = positive("steps", steps)
        config, sizes = _sized(entry, settings)
        model = built(name, lambda: entry.build(config), REMEDY)
        inputs = partial(_segments, entry.reads, sizes)
        return Network(name, model, inputs, (1,), 1, reads=entry.reads, sizes=sizes)
    batch = _lengths(lengths, VISITS if steps is None else steps)
    filled = _slots(slots, batch)
    config, sizes = _sized(entry, settings)
    # A visit lists each code at most once, so a small vocabulary limits its length.
    vocabulary = sizes["n_codes"]
    per_visit = min(CODES_PER_VISIT, vocabulary) if codes is None else positive("codes", codes)
    at_most("the codes of all visits", sum(batch) * per_visit)
    of_visits = max(sizes["n_channels"], 1) * sum(batch), len(batch) * sizes["n_features"]
    at_most("the numbers of an input", max(of_visits))
    if per_visit > vocabulary:
        raise SettingError(
            f"a visit cannot have {per_visit} codes, since {name} knows only {vocabulary}"
        )
    model = built(name, lambda: entry.build(config), REMEDY)
    words = (
        f"{len(batch)} patient{'s' if len(batch) > 1 else ''}, {sum(batch)} visits of {per_visit} "
        f"codes, {filled} at most"
    )
    inputs = partial(_patients, entry.reads, sizes, per_visit)
    return Network(
        name, model, inputs, batch, filled, words, packed=True, reads=entry.reads, sizes=sizes
    )


def _sized(entry: ModelEntry, settings: dict[str, Any]) -> tuple[object, dict[str, int]]:
    if entry.config_class is None:
        settings = {**{name: SIZES[name] for name in sizes_of(entry.reads)}, **settings}
    config = entry.config(**settings)
    values = settings if entry.config_class is None else vars(config)
    return config, {name: positive(name, values.get(name, size)) for name, size in SIZES.items()}


def _segments(reads: tuple[str, ...], sizes: Mapping[str, int], lengths: Sequence[int]) -> Inputs:
    count = len(lengths)
    signal = torch.zeros(count, sizes["n_chans"], sizes["n_times"])
    features = torch.zeros(count, sizes["n_features"])
    return SignalBatch(signal, torch.zeros(count), features, reads).inputs


def _patients(
    reads: tuple[str, ...], sizes: Mapping[str, int], codes: int, lengths: Sequence[int]
) -> Inputs:
    of_visits, offsets, batch_sizes = visits(lengths, codes)
    total, count = sum(lengths), len(lengths)
    nobody = torch.zeros(count, dtype=torch.int64)
    return VisitBatch(
        codes=of_visits,
        offsets=offsets,
        batch_sizes=batch_sizes,
        labels=nobody,
        order=nobody,
        reads=reads,
        values=torch.zeros(total, sizes["n_channels"]),
        mask=torch.zeros(total, sizes["n_channels"], dtype=torch.bool),
        gaps=torch.zeros(total),
        static=torch.zeros(count, sizes["n_static"]),
        features=torch.zeros(count, sizes["n_features"]),
    ).inputs


def visits(lengths: Sequence[int], codes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Make a batch of patients with ``lengths`` visits of ``codes`` codes for the visits models.

    Codes are int64 (codes of all visits,), offsets (visit + 1,), and batch sizes (step,).

    Example:
        >>> codes, offsets, sizes = visits([1, 3], 2)
        >>> codes.shape, offsets.tolist(), sizes.tolist()
        (torch.Size([8]), [0, 2, 4, 6, 8], [2, 1, 1])
    """
    total = sum(lengths)
    # The size of a step is the number of patients less those whose visits have ended before it.
    return (
        torch.arange(codes).repeat(total),
        torch.arange(total + 1) * codes,
        len(lengths) - torch.bincount(torch.tensor(lengths)).cumsum(0)[:-1],
    )


def _lengths(lengths: Sequence[int] | None, steps: int) -> tuple[int, ...]:
    batch = (steps,) if lengths is None else tuple(lengths)
    if not batch:
        raise SettingError("no lengths: give the steps of at least one sequence")
    return tuple(positive("a length", length) for length in batch)


def _slots(slots: int | None, lengths: Sequence[int]) -> int:
    longest = max(lengths)
    if slots is not None and slots < longest:
        raise SettingError(f"a batch with {longest} steps cannot be padded to {slots}")
    return longest if slots is None else at_most("the steps of a padded batch", slots)


def parse_lengths(text: str) -> tuple[int, ...]:
    """Parse lengths as written on the command line.

    Example:
        >>> parse_lengths("3,1,4"), parse_lengths("1..4")
        ((3, 1, 4), (1, 2, 3, 4))
    """
    if not _LENGTHS.fullmatch(text):
        raise SettingError(
            f"lengths are whole numbers with commas or a range, 3,1,4 or 1..20, not '{text[:60]}'"
        )
    first, dots, last = text.partition("..")
    lengths = range(int(first), int(last) + 1) if dots else list(map(int, text.split(",")))
    if (n := int(last) - int(first) + 1 if dots else len(lengths)) > MOST_SEQUENCES:
        raise SettingError(f"there are {n:,} lengths: expected {MOST_SEQUENCES:,} at most")
    return tuple(lengths)


def loaded(
    where: str,
    shapes: Sequence[str],
    settings: Mapping[str, object] | None = None,
    *,
    steps: int | None = None,
    lengths: Sequence[int] | None = None,
    slots: int | None = None,
) -> Network:
    """Load a class from a file (``FILE.py:CLASS``) or installed package (``package.module:CLASS``).

    A shape for each argument of the forward is ``BxTx12``, ``1x178`` or ``Bx20:int64``, where B is
    the batch and T the steps of the longest sequence or ``slots``; or ``lengths``, a tensor of
    them. Without lengths, T is ``steps`` or 1.
    """
    # A user's class may be built anew, or a module that exists already may be named.
    builder = attribute(where)
    if isinstance(builder, nn.Module) and settings:
        raise SettingError(f"{where} is already a module: --kwargs are the arguments of a class")
    if not shapes:
        raise SettingError(
            f"{where} needs the shapes of its input: give --input for each argument of its "
            "forward, for example --input 1x178 or --input BxTx12"
        )
    makers = [_argument(shape) for shape in shapes]
    text = " ".join(shapes)
    if lengths is not None and not ("T" in text and "B" in text):
        raise SettingError(
            f"lengths need B (batch) and T (steps) in the shapes, not {text}: --input BxTx12"
        )
    batch = _lengths(lengths, 1 if steps is None else positive("steps", steps))
    filled = _slots(slots, batch)
    model = built(
        where,
        lambda: builder if isinstance(builder, nn.Module) else builder(**(settings or {})),
        REMEDY,
    )
    name = where.rpartition(":")[2]

    def inputs(lengths: Sequence[int]) -> Inputs:
        steps = filled if tuple(lengths) == batch else max(lengths)
        return tuple(maker(lengths, steps) for maker in makers)

    return Network(name, model, inputs, batch, filled)


DIMENSION = re.compile(r"([1-9]\d{0,49}|B|T)(x([1-9]\d{0,49}|B|T))*")
Maker = Callable[[Sequence[int], int], Tensor]


def _argument(text: str) -> Maker:
    if text == "lengths":
        return lambda lengths, _: torch.tensor(list(lengths))
    shape, _, kind = text.replace(",", "x").partition(":")
    dtype = getattr(torch, kind or "float32", None)
    if not DIMENSION.fullmatch(shape) or not isinstance(dtype, torch.dtype):
        raise SettingError(
            f"'{text[:60]}' is not a shape: write sizes, B or T with x between them, and a torch "
            "type where it is not float32: 1x178, BxTx12, Bx20:int64"
        )

    def make(lengths: Sequence[int], steps: int) -> Tensor:
        symbols = {"B": len(lengths), "T": steps}
        sizes = [symbols.get(size) or int(size) for size in shape.split("x")]
        if not dtype.is_floating_point:
            at_most(f"the numbers of '{text}'", math.prod(sizes))
        # Integers may be lengths or offsets, whose values count; for others the shape is enough.
        device = "meta" if dtype.is_floating_point else "cpu"
        try:
            return torch.zeros(sizes, dtype=dtype, device=device)
        except (RuntimeError, TypeError) as error:
            raise SettingError(f"no tensor can be as large as '{text}'") from error

    return make


def network(
    model: str,
    *,
    shapes: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
    steps: int | None = None,
    lengths: Sequence[int] | None = None,
    slots: int | None = None,
    codes: int | None = None,
) -> Network:
    """Return the network with a name on the command line; the arguments are those of both kinds."""
    if lengths is not None and steps is not None:
        raise SettingError("the lengths give the steps of each sequence: leave --steps out")
    if ":" in model:
        if codes is not None:
            raise SettingError(f"{model} has no visits: describe its input with --input")
        return loaded(model, shapes, settings, steps=steps, lengths=lengths, slots=slots)
    if model.endswith(".py"):
        raise SettingError(f"{model} names no class: write {model}:CLASS")
    if shapes and model in MODELS:
        raise SettingError(f"{model} has its own input: change it with --kwargs or --steps")
    return registered(model, settings, steps=steps, lengths=lengths, slots=slots, codes=codes)
