"""The account as text, with the derivation of each layer's count.

A derivation is a formula, its substitution and its value, line by line.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sequela.cost.formula import Formula, Number, Symbol, add, formula, merged
from sequela.cost.ledger import Account, LayerCost, Noted, ReportCount
from sequela.cost.work import Omission, Work

WORDS = {
    "useful": "useful: real steps, by the formulas",
    "executed": "executed: padding included, by the formulas",
    "embedding_sum": "with the multi-hot input as a sum of rows",
}
HEADER = ("layer", "kind", "parameters", "operations", "MACs")


@dataclass(frozen=True, slots=True)
class DerivedLine:
    """One line of a derivation with its formula; a ``part`` is included in a line further down."""

    label: str
    formula: Formula
    part: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """Formula, substitution and value, without repeats.

        Example:
            >>> n = Symbol("n", 178, "inputs")
            >>> DerivedLine("parameters", (n + 1) * 16).steps
            ('(n + 1)·16', '(178 + 1)·16', '2,864')
        """
        # A formula of numbers is its own substitution, and a number alone its own formula.
        steps = dict.fromkeys((self.formula.text(), self.formula.substitution()))
        steps.pop(str(self.formula.value), None)
        return (*steps, f"{self.formula.value:,}")


def derive(layer: LayerCost) -> list[DerivedLine]:
    """Derive the lines of a layer: its parameters, the parts of its work, its operations."""
    lines = [DerivedLine("parameters", layer.parameter_formula)]
    lines += [
        DerivedLine(f"of these {part.parameter}, counted in {part.owner}", Number(-part.size))
        for part in layer.shared
    ]
    for work in layer.work:
        lines += _operations(work, "operations")
    if len(layer.work) > 1:
        lines.append(DerivedLine("operations in all", Number(layer.operations)))
    for work in layer.embedding_sum:
        lines += _operations(work, "operations as a sum of rows")
    return lines


def _operations(work: Work, label: str) -> Iterator[DerivedLine]:
    often = formula(work.calls) * work.times
    if len(work.parts) == 1:
        part = work.parts[0]
        yield DerivedLine(f"{label} ({part.label})", often * part.cost.operations)
        return
    # Each part is a line, then their sum, then the sum times its repetitions.
    for part in work.parts:
        yield DerivedLine(part.label, part.cost.operations, part=True)
    # Its value alone in the last line: the formula of a GRU's step is longer than a page is wide.
    once = add(part.cost.operations for part in work.parts)
    if work.parts and often != Number(1):
        yield DerivedLine(f"one {work.unit}", Number(once.value), part=True)
    yield DerivedLine(label, often * once.value)


def legend(layer: LayerCost) -> dict[str, Symbol]:
    """Return the symbols of a layer that have one value in all of its lines."""
    lines = derive(layer)
    symbols = merged(line.formula for line in lines)
    # Calls with other shapes give a symbol another value, which one explanation cannot show.
    return {
        name: symbol
        for name, symbol in symbols.items()
        if all(merged([line.formula]).get(name, symbol) == symbol for line in lines)
    }


def explain(omission: Omission) -> list[DerivedLine]:
    """Derive the lines of an omission of the report of 2019."""
    missing = {"parameters": omission.parameters, "operations": omission.operations}
    return [
        DerivedLine(f"{omission.layer}: {omission.reason}; {unit}", count)
        for unit, count in missing.items()
        if count != Number(0)
    ]


def render(account: Account, *, derive: bool = False) -> str:
    """Format the account as tables, which the derivation may follow."""
    blocks = [
        f"{account.model}, convention {account.convention}, input {account.inputs}",
        _columns(_table(account)),
    ]
    if account.lower_bound:
        blocks.append(f"LOWER BOUND: no rule for {', '.join(map(str, account.unknown))}")
    work = [
        (WORDS[name], f"{amount.operations:,}", f"{amount.macs:,}")
        for name, amount in account.amounts.items()
        if name != "executed" or amount != account.useful
    ]
    if len(work) > 1:
        blocks.append(_columns([("work", "operations", "MACs"), *work]))
    if account.free:
        blocks.append(f"free: {_kinds(account.free)}")
    if account.report is not None:
        blocks.append(_report(account.report))
    if derive:
        blocks += map(_derivation, account.layers)
    return "\n\n".join(blocks)


def _table(account: Account) -> list[Sequence[str]]:
    total = "at least" if account.lower_bound else "total"

    def row(name: str, kind: str, cost: LayerCost | Account) -> Sequence[str]:
        return (name, kind, f"{cost.parameters:,}", f"{cost.operations:,}", f"{cost.macs:,}")

    layers = [row(layer.name, layer.kind, layer) for layer in account.layers]
    return [HEADER, *layers, row(total, "", account)]


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # The last row, of totals, has a number in each column of numbers.
    words = [not column[-1][-1:].isdigit() for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if word else cell.rjust(width)
            for cell, width, word in zip(row, widths, words, strict=True)
        ).rstrip()
        for row in rows
    )


def _kinds(noted: Iterable[Noted]) -> str:
    times: Counter[str] = Counter()
    for operation in noted:
        times[operation.operation] += operation.times
    return ", ".join(f"{name} ({n})" if n > 1 else name for name, n in times.items())


def _report(report: ReportCount) -> str:
    parameters, operations = report.parameters, report.operations
    more = report.missing_parameters, report.missing_operations
    counts = [
        *((part.layer, part.parameters, part.operations) for part in report.parts),
        ("together", parameters, operations),
        *(
            (f"+ {o.layer}: {o.reason}", o.parameters.value, o.operations.value)
            for o in report.omissions
        ),
        ("exact", parameters + more[0], operations + more[1]),
    ]
    rows: list[Sequence[str]] = [("the report of 2019 counts", "parameters", "operations")]
    rows += [(name, f"{size:,}", f"{work:,}") for name, size, work in counts]
    if not report.omissions:
        return f"{_columns(rows)}\nthe report leaves out nothing"
    return f"{_columns(rows)}\n{_left_out(report)}"


def _left_out(report: ReportCount) -> str:
    parameters, operations = report.missing_parameters, report.missing_operations
    terms = chain.from_iterable(map(explain, report.omissions))
    return "\n".join(
        [
            f"the report leaves out {parameters:,} parameters and {operations:,} operations:",
            *(f"  {line.label}: {' = '.join(line.steps)}" for line in terms),
        ]
    )


def derivation(account: Account) -> str:
    """Format the derivation alone, with what the report of 2019 leaves out."""
    blocks = [*map(_derivation, account.layers)]
    if account.report is not None and account.report.omissions:
        blocks.append(_left_out(account.report))
    return "\n\n".join(blocks)


def _derivation(layer: LayerCost) -> str:
    lines = [f"{layer.name}: {layer.kind}"]
    for line in derive(layer):
        indent = "    " if line.part else "  "
        lines.append(f"{indent}{line.label}: {' = '.join(line.steps)}")
    if symbols := legend(layer):
        meanings = (f"{s.name} = {s.number:,} {s.meaning}" for s in symbols.values())
        lines.append(f"  where {', '.join(meanings)}")
    return "\n".join(lines)
