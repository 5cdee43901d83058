"""Featurisers: from a signal or from stored sequences to a table, one row an example.

A featuriser learns from the training set alone; its arrays are stored with the model that reads its
table, so that other data can be described in the same columns.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.catalog import Modality
from sequela.datasets.codes import APACHE_PREDICTION, SCORE, family_of
from sequela.errors import SettingError
from sequela.plugins import Registry
from sequela.sequences import minirocket
from sequela.sequences.feature_tables import (
    SparseTable,
    bag_of_codes,
    channel_scales,
    scales_of,
    static_table,
    summaries,
    summary_names,
)
from sequela.sequences.flat import Sequences
from sequela.sequences.scaling import Scaling, normal_scores, quantiles
from sequela.sequences.vocabulary import levels_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

State = Mapping[str, NDArray[Any]]
Table: TypeAlias = "NDArray[np.float32] | SparseTable | csr_array"

FEATURES = "features:"  # prefix of a table of features among the inputs of a model
LEAST_EXAMPLES = 20
"""The fewest training examples with a code that gets a column of ``counts``: a leaf of boosting."""
MOST_CODES = 1000
"""The most codes that get a column of ``counts``, the most frequent ones, to limit cost."""
NUMBERS = 1 << 24  # numbers of a table that are worked on at once, to limit memory
CLIP = 5.0  # number of training standard deviations at which a network's features are clipped


@dataclass(frozen=True)
class Column:
    """A column of a table; the unit is empty where its numbers have none."""

    name: str
    unit: str = ""


@dataclass(frozen=True)
class Operations:
    """The cost of one example's features.

    Attributes:
        formula: Number of additions, multiplications and the like, of the symbols, with ``+``,
            ``-`` and ``·``.
        symbols: Each symbol of both formulas: its value, and its meaning.
        per_step: Further operations of each step of a sequence, in the same notation.
    """

    formula: str = "0"
    symbols: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    per_step: str = "0"


class SignalSegments(Protocol):
    """Segments of a signal."""

    @property
    def signal(self) -> NDArray[np.float32]:
        """The samples (segment, n_chans, n_times), in µV."""

    @property
    def sfreq(self) -> float:
        """The sampling rate in Hz."""


@dataclass(frozen=True)
class Featuriser:
    """A way to describe examples by numbers.

    Attributes:
        name: A model reads it as ``features:NAME``.
        title: Name in tables and figures.
        of: The data it describes: segments of a ``signal``, or sequences of ``records``.
        columns: Function from the examples and the learnt arrays to the columns.
        fit: Function from the examples and the training rows to the learnt arrays, by name.
        apply: Function from the examples and the learnt arrays to float32 (example, column), dense
            or sparse. Missing numbers are NaN.
        operations: Function to the cost of one example from the shape that a model is built with
            (``n_chans``, ``n_times``, ``n_channels``, ``n_features``); reading and counting codes
            is free.
    """

    name: str
    title: str
    of: Modality
    columns: Callable[[Any, State], tuple[Column, ...]]
    fit: Callable[[Any, NDArray[np.int64]], State]
    apply: Callable[[Any, State], Table]
    operations: Callable[[Mapping[str, int]], Operations] = field(
        default_factory=lambda: lambda _: Operations()
    )


FEATURISERS = Registry("featuriser", Featuriser)
lookup = FEATURISERS.lookup


@dataclass(frozen=True)
class Standardised:
    """A table as networks read it: each column scaled by its training mean and deviation.

    The deviation is 1 where a column (example, column) does not vary.
    """

    table: NDArray[np.float32] | SparseTable
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @staticmethod
    def learn(
        table: NDArray[np.float32] | SparseTable, train_rows: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        """Compute mean and deviation of the columns over the training rows, without NaN."""
        if len(columns := _blocks(table.shape[1], len(table))) > 1:
            parts = [Standardised.learn(table[:, block], train_rows) for block in columns]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows = table[train_rows]
        filled = ~np.isnan(rows)
        n = np.maximum(filled.sum(axis=0), 1)  # (column,), of the values that are there
        clean = np.where(filled, rows, 0)
        mean = clean.sum(axis=0, dtype=np.float64) / n  # (column,)
        deviation = np.sqrt((np.where(filled, clean - mean, 0) ** 2).sum(axis=0) / n)
        least = np.finfo(np.float32)  # below which a float32 deviation is rounding, or 0
        deviation[deviation < np.maximum(least.eps * np.abs(mean), least.tiny)] = 0
        return scales_of(mean, deviation)

    def rows(self, examples: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 (row, column), clipped at 5 deviations; 0, the mean, where missing."""
        scaled = np.clip((self.table[examples] - self.mean) / self.deviation, -CLIP, CLIP)
        return np.asarray(np.nan_to_num(scaled, nan=0.0), np.float32)


@dataclass(frozen=True)
class Features:
    """The table of ``features:NAME`` of some examples, and the arrays learnt for it.

    The arrays are named ``features:NAME:KEY``, to be stored with a model. A network reads the table
    standardised.
    """

    table: Table
    state: State
    standardised: Standardised | None

    @classmethod
    def of(
        cls,
        reads: tuple[str, ...],
        source: SignalSegments | Sequences,
        train_rows: NDArray[np.int64],
        stored: State | None = None,
        *,
        standardise: bool,
    ) -> Self | None:
        """Compute the table of features, if a model reads any.

        ``stored`` holds arrays learnt before, for a model that is applied to other data; a network
        reads the table standardised.
        """
        read = next((name for name in reads if name.startswith(FEATURES)), None)
        if read is None:
            return None
        featuriser = lookup(read.removeprefix(FEATURES))
        if stored is None:
            state = dict(featuriser.fit(source, train_rows))
        else:
            prefix = f"{read}:"
            state = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
        table, scaled = featuriser.apply(source, state), None
        if standardise:
            if not isinstance(table, np.ndarray | SparseTable):
                table = SparseTable(table, np.zeros(table.shape[1], np.float32))
            if stored is None:
                learnt = Standardised.learn(table, train_rows)
                state |= {f"column {key}": array for key, array in learnt.items()}
            if isinstance(table, SparseTable):
                table = SparseTable(table.cells, table.empty)  # without its cells by column
            scaled = Standardised(table, state["column mean"], state["column deviation"])
        elif isinstance(table, SparseTable):
            table = table.toarray()
        return cls(table, {f"{read}:{key}": array for key, array in state.items()}, scaled)


def learn_scales(
    sequences: Sequences, train_rows: NDArray[np.int64], reads: tuple[str, ...]
) -> State:
    """Learn the quantiles of values and the scales of static columns from the training examples."""
    scales = {}
    if "values" in reads:
        for name, array in channel_scales(sequences, train_rows).items():
            scales[f"values:{name}"] = array
    if "static" in reads:
        for name, array in Standardised.learn(static_table(sequences), train_rows).items():
            scales[f"static:{name}"] = array
    return scales


def _blocks(length: int, width: int) -> list[slice]:
    """Divide the rows or columns of a table, each of ``width`` numbers, into blocks.

    A block has two at least: NumPy sums a single column in another order than one of several.
    """
    count = max(1, min(length // 2, -(-length * width // NUMBERS)))
    ends = [length * i // count for i in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(ends)]


def _samples_columns(source: SignalSegments, _: State) -> tuple[Column, ...]:
    _, n_chans, n_times = source.signal.shape
    places = product(range(n_chans), range(n_times))
    return tuple(Column(f"channel {c}, sample {t}", "deviations") for c, t in places)


def _samples_fit(source: SignalSegments, train_rows: NDArray[np.int64]) -> State:
    scaling = Scaling.fit(source.signal, train_rows)
    return {"mean": np.asarray(scaling.mean), "std": np.asarray(scaling.std)}


def _samples(source: SignalSegments, state: State) -> NDArray[np.float32]:
    scaling = Scaling(tuple(state["mean"].tolist()), tuple(state["std"].tolist()))
    return scaling.apply(source.signal).reshape(len(source.signal), -1)


def _samples_operations(shape: Mapping[str, int]) -> Operations:
    symbols = {"c": (shape["n_chans"], "channels"), "t": (shape["n_times"], "samples of a channel")}
    return Operations("2·c·t", symbols)


BANDWIDTH = 2.5  # time-bandwidth: power leaks over 2.5 / duration on either side
TAPERS = 4  # 2 · 2.5 - 1: further tapers leak
_AT_ONCE = 512  # segments, to limit memory
_SHAPES = (
    ("log standard deviation", "log µV"),
    ("log mean absolute difference of neighbours", "log µV"),
    ("log mean absolute second difference", "log µV"),
    ("log range", "log µV"),
    ("skewness", ""),
    ("kurtosis", ""),
)


def _spectrum_columns(source: SignalSegments, _: State) -> tuple[Column, ...]:
    _, n_chans, n_times = source.signal.shape
    frequencies = np.fft.rfftfreq(n_times, 1 / source.sfreq)[1:]
    columns = []
    for c in range(n_chans):
        columns += [Column(f"channel {c}, power at {f:.3g} Hz", "log µV²/Hz") for f in frequencies]
        columns += [Column(f"channel {c}, {name}", unit) for name, unit in _SHAPES]
    return tuple(columns)


def _spectrum(source: SignalSegments, _: State) -> NDArray[np.float32]:
    """Compute log power at each frequency above 0 (multitaper), then amplitude and shape.

    Four Slepian tapers of time-bandwidth 2.5, their spectra averaged (Thomson 1982, Spectrum
    estimation and harmonic analysis). Power is absolute: seizures are louder than their
    surroundings.
    """
    from scipy.signal.windows import dpss

    n, n_chans, n_times = source.signal.shape
    tapers = dpss(n_times, BANDWIDTH, TAPERS)  # (taper, n_times)
    n_columns = n_chans * (n_times // 2 + len(_SHAPES))
    out = np.empty((n, n_columns), np.float32)
    for first in range(0, n, _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        signal = source.signal[rows].astype(np.float64)
        centred = signal - signal.mean(axis=2, keepdims=True)
        spectra = np.abs(np.fft.rfft(centred[:, :, None] * tapers)) ** 2 / source.sfreq
        power = np.log(spectra[..., 1:].mean(axis=2) + _QUIET)  # (segment, n_chans, frequency)
        out[rows] = np.concatenate([power, _shape_of(centred)], axis=2).reshape(len(signal), -1)
    return out


# A floor in µV, or µV²/Hz, far below amplifier noise, so that a silent channel has a logarithm.
_QUIET = 1e-6


def _shape_of(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute (segment, n_chans, ``_SHAPES``) of segments of mean 0 (segment, n_chans, n_times)."""
    deviation = np.sqrt((centred**2).mean(axis=2)) + _QUIET
    scaled = centred / deviation[..., None]  # (segment, n_chans, n_times)
    steps = np.abs(np.diff(centred)).mean(axis=2)
    bends = np.abs(np.diff(centred, 2)).mean(axis=2)  # (segment, n_chans)
    sizes = (deviation, steps, bends, np.ptp(centred, axis=2))
    logs = [np.log(size + _QUIET) for size in sizes]
    return np.stack([*logs, (scaled**3).mean(axis=2), (scaled**4).mean(axis=2)], axis=2)


def fourier_operations(n: int) -> int:
    """Count the operations of a fast Fourier transform of real samples, 5·n·log2(n) / 2.

    This is the usual count for all algorithms (Frigo and Johnson 2005, The design and
    implementation of FFTW3).

    Example:
        >>> fourier_operations(178)
        3327
    """
    return round(5 * n * math.log2(n) / 2)


def _spectrum_operations(shape: Mapping[str, int]) -> Operations:
    """Count a product a sample and a Fourier transform for each taper, squares, mean, logarithm."""
    c, t = shape["n_chans"], shape["n_times"]
    f, d = t // 2, fourier_operations(t)
    symbols = {
        "c": (c, "channels"),
        "t": (t, "samples of a channel"),
        "k": (TAPERS, "tapers"),
        "d": (d, "operations of a Fourier transform, 5·t·log2(t) / 2"),
        "f": (f, "frequencies"),
    }
    return Operations("c·(2·t + k·(t + d + 4·f) + 2·f + 18·t)", symbols)


def _minirocket_operations(shape: Mapping[str, int]) -> Operations:
    """Count shifted sums of each channel for each dilation, and four channels of a kernel."""
    symbols = {
        "c": (shape["n_chans"], "channels"),
        "t": (shape["n_times"], "samples of a channel"),
        "d": (len(minirocket.dilations(shape["n_times"])), "dilations"),
        "k": (minirocket.KERNELS, "kernels"),
        "n": (minirocket.NUMBERS, "thresholds, a comparison and a sum a sample each"),
        "m": (min(shape["n_chans"], 9), "channels that a kernel sees, at most"),
    }
    return Operations("c·t·(3 + 8·d) + d·t·k·(4·m - 1) + 2·n·t", symbols)


def _often(bag: "csr_array") -> NDArray[np.int64]:
    """Return the columns that are not 0 in enough rows (row, column): int64 (column,), rising."""
    rows = bag.count_nonzero(axis=0)  # (column,), examples with the code
    most = np.argsort(-rows, kind="stable")[:MOST_CODES]
    return np.sort(most[rows[most] >= LEAST_EXAMPLES])


def _counts_operations(shape: Mapping[str, int]) -> Operations:
    """Count the summaries of the measurements, if the table has them; counting codes is free."""
    if not shape.get("n_bins"):
        return Operations()
    return Operations("6·c", {"c": (shape["n_channels"], "channels")}, per_step="12·c")


def _counts_columns(source: Sequences, state: State) -> tuple[Column, ...]:
    settings = source.header["settings"]
    codes = (Column(source.vocabulary[i], "steps") for i in state["codes"])
    measured = summary_names(source) if settings["bins"] else []
    age = [Column("age", "years")] if settings["demographics"] else []
    return (Column("codes", "steps"), *codes, *age, *map(Column, measured))


def _counts(source: Sequences, state: State) -> NDArray[np.float32]:
    """Count codes, common ones separately, with age and measurements; missing values are NaN."""
    everyone = np.arange(len(source))
    bag = bag_of_codes(source, everyone)
    columns = [np.asarray(bag.sum(axis=1)).reshape(-1, 1), bag[:, state["codes"]].toarray()]
    settings = source.header["settings"]
    if settings["demographics"]:
        columns.append(source.age[:, None])  # years
    if settings["bins"]:
        columns.append(summaries(source, everyone).toarray())
    return np.hstack(columns).astype(np.float32)


def _groups(source: Sequences) -> "tuple[tuple[str, ...], csr_array]":
    """Return the codes, then their groups; and float32 (code, code or group), sparse.

    A code counts for itself and for each group that it belongs to.
    """
    from scipy.sparse import csr_array

    levels = [levels_of(code) for code in source.vocabulary]
    names = tuple(dict.fromkeys((*source.vocabulary, *chain.from_iterable(levels))))
    place = {name: i for i, name in enumerate(names)}
    columns = [place[name] for name in chain.from_iterable(levels)]
    ends = np.cumsum([0, *map(len, levels)])  # of each code's groups, as in a CSR matrix
    ones = np.ones(len(columns), np.float32)
    return names, csr_array((ones, columns, ends), shape=(len(levels), len(names)))


def _grouped(source: Sequences, examples: NDArray[np.int64]) -> "csr_array":
    """Count each code or group, once a step and code: float32 (example, code or group)."""
    counted: csr_array = bag_of_codes(source, examples) @ _groups(source)[1]
    return counted


def _described(source: Sequences, examples: NDArray[np.int64], state: State) -> SparseTable:
    """Return age, counts of codes and groups, and summaries of measurements, not scaled."""
    from scipy.sparse import csr_array, hstack

    counted = _grouped(source, examples)[:, state["codes"]]  # (example, code or group)
    measured = summaries(source, examples)
    parts = [csr_array(source.age[examples][:, None]), counted, measured.cells]  # NaN is not 0
    none = np.zeros(1 + len(state["codes"]), np.float32)
    return SparseTable(hstack(parts, format="csr"), np.append(none, measured.empty))


def _summaries_fit(source: Sequences, train_rows: NDArray[np.int64]) -> State:
    """Learn ``codes``: int64 (column,); ``quantiles``: float32 (column, 101), on training rows."""
    often, (names, _) = _often(_grouped(source, train_rows)), _groups(source)
    measured = set(source.channel_names)  # codes whose values are summarised
    # Codes of a measurement, or of its bins, repeat its summaries.
    repeats = [measured & {names[code], names[code].rpartition("//Q")[0]} for code in often]
    codes = {"codes": np.asarray(often[~np.array(repeats, np.bool_)], np.int64)}
    table = _described(source, train_rows, codes)
    blocks = _blocks(table.shape[1], len(table))
    ends = [quantiles(np.asfortranarray(table[:, block])) for block in blocks]
    return {**codes, "quantiles": np.concatenate(ends)}


def _summaries_columns(source: Sequences, state: State) -> tuple[Column, ...]:
    codes = (_groups(source)[0][i] for i in state["codes"])
    names = ("age", *codes, *summary_names(source))
    return tuple(Column(name, "normal scores") for name in names)


def _summaries(source: Sequences, state: State) -> SparseTable:
    table, ends = _described(source, np.arange(len(source)), state), state["quantiles"]
    return table.mapped(partial(normal_scores, ends=ends))


def _summaries_operations(shape: Mapping[str, int]) -> Operations:
    """Count operations as if each step measured every channel.

    A value is compared twice, and in the sums of mean (1), variance (3), time (1), its variance (3)
    and covariance with it (2). A channel has two means, two variances, a root and a slope. A normal
    score takes seven comparisons, and four operations on the line between two quantiles.
    """
    symbols = {"c": (shape["n_channels"], "channels"), "f": (shape["n_features"], "summaries")}
    return Operations("6·c + 11·f", symbols, per_step="12·c")


@dataclass(frozen=True)
class Score:
    """A clinical score of the risk of death, as recorded in the data under the code.

    Of a predicted probability (``chance``) the log-odds are used.
    """

    title: str
    code: str
    chance: bool = False

    def columns(self, source: Sequences, _: State) -> tuple[Column, ...]:
        """Return the columns: the score, and whether it is missing."""
        self._of(source)
        what, unit = (f"log-odds of {self.title}", "") if self.chance else (self.title, "points")
        return Column(what, unit), Column(f"{self.title} is not known")

    def fit(self, source: Sequences, train_rows: NDArray[np.int64]) -> State:
        """Learn ``mean``: float32 (1,), over the training set, for missing scores."""
        score = self._of(source)[train_rows]
        return {"mean": np.atleast_1d(np.nan_to_num(score[~np.isnan(score)].mean()))}

    def apply(self, source: Sequences, state: State) -> NDArray[np.float32]:
        """Compute float32 (example, 2)."""
        score = self._of(source)
        unknown = np.isnan(score)
        table = np.column_stack([np.where(unknown, state["mean"][0], score), unknown])
        return table.astype(np.float32)

    def operations(self, _: Mapping[str, int]) -> Operations:
        """Is it known: 1; log-odds of a chance: 2 to clip, then subtract, divide, logarithm."""
        return Operations("6" if self.chance else "1")

    def _of(self, source: Sequences) -> NDArray[np.float32]:
        """Return the last score by the prediction time, or NaN: float32 (example,)."""
        if self.code not in source.channel_names:
            raise SettingError(
                f"{self.title} is not among what a model may read here (no measurement "
                f"{self.code}): let it in with --inputs {family_of(self.code).name}, or choose "
                "data that hold it"
            )
        from scipy.special import logit

        place = summary_names(source).index(f"{self.code} last")
        last = summaries(source, np.arange(len(source)))[:, place : place + 1].ravel()  # (example,)
        if not self.chance:
            return last
        return np.asarray(logit(np.clip(last, _LEAST_CHANCE, 1 - _LEAST_CHANCE)), np.float32)


_LEAST_CHANCE = 1e-4  # chances of 0 and 1 have no log-odds
SCORES = {
    "saps-i": Score("SAPS I", f"{SCORE}//SAPS-I"),
    "sofa": Score("SOFA", f"{SCORE}//SOFA"),
    "apache-iva": Score("APACHE IVa", f"{APACHE_PREDICTION}//IVa", chance=True),
}
"""The severity scores by the name of their featuriser, and of the baseline model that reads it."""


def _nothing(*_: object) -> State:
    return {}


_SAMPLES = (_samples_columns, _samples_fit, _samples, _samples_operations)
_SPECTRUM = (_spectrum_columns, _nothing, _spectrum, _spectrum_operations)
_MINIROCKET = (
    lambda *_: tuple(
        Column(f"convolution {i}, share of time above its threshold")
        for i in range(minirocket.NUMBERS)
    ),
    lambda source, train_rows: minirocket.learnt(source.signal[train_rows]),
    lambda source, state: minirocket.transformed(source.signal, state),
    _minirocket_operations,
)
_PRESENCE = (
    lambda source, _: tuple(map(Column, source.vocabulary)),
    _nothing,
    lambda source, _: bag_of_codes(source, np.arange(len(source)), "presence"),
)
_COUNTS = (
    _counts_columns,
    lambda source, train_rows: {"codes": _often(bag_of_codes(source, train_rows))},
    _counts,
    _counts_operations,
)
_SUMMARIES = (_summaries_columns, _summaries_fit, _summaries, _summaries_operations)
for _featuriser in (
    Featuriser("samples", "Scaled samples", Modality.EEG, *_SAMPLES),
    Featuriser("spectrum", "Log spectrum", Modality.EEG, *_SPECTRUM),
    Featuriser("minirocket", "MiniRocket", Modality.EEG, *_MINIROCKET),
    Featuriser("presence", "Present codes", Modality.RECORDS, *_PRESENCE),
    Featuriser("counts", "Counts of codes", Modality.RECORDS, *_COUNTS),
    Featuriser("summaries", "Summaries as normal scores", Modality.RECORDS, *_SUMMARIES),
    *(
        Featuriser(name, s.title, Modality.RECORDS, s.columns, s.fit, s.apply, s.operations)
        for name, s in SCORES.items()
    ),
):
    FEATURISERS.add(_featuriser)
