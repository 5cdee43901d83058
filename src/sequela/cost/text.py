"""The account as plain text and as Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from sequela.cost.derivation import derive, explain, legend, render_mathml
from sequela.cost.ledger import Account, LayerCost, Noted, ReportCount

WORDS = {
    "useful": "useful: real steps, by the formulas",
    "executed": "executed: padding included, by the formulas",
    "embedding_sum": "with the multi-hot input as a sum of rows",
}
HEADER = ("layer", "kind", "parameters", "operations", "MACs")


_TEXT = ("{}, convention {}, input {}", "LOWER BOUND: no rule for {}", "free: {}", "{}")
_MARKDOWN = (
    "### {}\n\nConvention `{}`, input `{}`.",
    "**Lower bound**: no rule for {}.",
    "Free: {}.",
    "```text\n{}\n```",
)


def render(account: Account, form: str, *, derivation: bool = False) -> str:
    """Format the account as ``text``, ``markdown`` or ``mathml``, which is the derivation alone.

    Text and Markdown have a table, then optionally the derivation.
    """
    if form == "mathml":
        return render_mathml(account)
    markdown = form == "markdown"
    title, bound, free, report = _MARKDOWN if markdown else _TEXT
    table = _markdown_table if markdown else _columns
    blocks = [
        title.format(account.model, account.convention, account.inputs),
        table(_table(account)),
    ]
    if account.lower_bound:
        blocks.append(bound.format(", ".join(map(str, account.unknown))))
    work = [
        (WORDS[name], f"{amount.operations:,}", f"{amount.macs:,}")
        for name, amount in account.amounts.items()
        if name != "executed" or amount != account.useful
    ]
    if len(work) > 1:
        blocks.append(table([("work", "operations", "MACs"), *work]))
    if account.free:
        blocks.append(free.format(_kinds(account.free)))
    if account.report is not None:
        blocks.append(report.format(_report(account.report)))
    if derivation:
        blocks += [_derivation(layer, markdown=markdown) for layer in account.layers]
    return "\n\n".join(blocks)


def _table(account: Account) -> list[Sequence[str]]:
    total = "at least" if account.lower_bound else "total"

    def row(name: str, kind: str, cost: LayerCost | Account) -> Sequence[str]:
        return (name, kind, f"{cost.parameters:,}", f"{cost.operations:,}", f"{cost.macs:,}")

    layers = [row(layer.name, layer.kind, layer) for layer in account.layers]
    return [HEADER, *layers, row(total, "", account)]


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Align rows in columns: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = [not column[-1][-1:].isdigit() for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if word else cell.rjust(width)
            for cell, width, word in zip(row, widths, words, strict=True)
        ).rstrip()
        for row in rows
    )


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---:" if cell[-1:].isdigit() else "---" for cell in body[-1]]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


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
    terms = chain.from_iterable(map(explain, report.omissions))
    missing = f"the report leaves out {more[0]:,} parameters and {more[1]:,} operations:"
    return "\n".join(
        [_columns(rows), missing, *(f"  {line.label}: {' = '.join(line.steps)}" for line in terms)]
    )


def _derivation(layer: LayerCost, *, markdown: bool) -> str:
    code, item, where = ("`{}`", "- ", "where") if markdown else ("{}", "  ", "  where")
    gap = [""] if markdown else []
    title = f"{layer.name}: {layer.kind}"
    lines = [f"#### {title}" if markdown else title, *gap]
    for line in derive(layer):
        steps = " = ".join(map(code.format, line.steps))
        indent = "  " if line.part else ""
        lines.append(f"{indent}{item}{line.label}: {steps}")
    if symbols := legend(layer):
        meanings = (f"{code.format(s.name)} = {s.number:,} {s.meaning}" for s in symbols.values())
        lines += [*gap, f"{where} {', '.join(meanings)}"]
    return "\n".join(lines)
