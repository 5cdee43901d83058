"""The account as plain text and as Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sequela.cost.derivation import Line, amounts, derive, explain, legend
from sequela.cost.ledger import Account, LayerCost, Noted, ReportCount
from sequela.cost.mathml import render_mathml

HEADER = ("layer", "kind", "parameters", "operations", "MACs")


def render_text(account: Account, *, derivation: bool = False) -> str:
    """Format the account as plain text: a table, then optionally the derivation."""
    blocks = [
        f"{account.model}, convention {account.convention}, input {account.inputs}",
        _columns(_table(account)),
    ]
    if account.lower_bound:
        blocks.append("LOWER BOUND: no rule for " + _list(account.unknown))
    if rows := _amounts(account):
        blocks.append(_columns(rows))
    if account.free:
        blocks.append("free: " + _kinds(account.free))
    if account.report is not None:
        blocks.append(_report(account.report))
    if derivation:
        blocks += [_derivation(layer) for layer in account.layers]
    return "\n\n".join(blocks)


def render_markdown(account: Account, *, derivation: bool = False) -> str:
    """Format the account as Markdown: a table, then optionally the derivation."""
    blocks = [
        f"### {account.model}",
        f"Convention `{account.convention}`, input `{account.inputs}`.",
        _markdown_table(_table(account)),
    ]
    if account.lower_bound:
        blocks.append(f"**Lower bound**: no rule for {_list(account.unknown)}.")
    if rows := _amounts(account):
        blocks.append(_markdown_table(rows))
    if account.free:
        blocks.append(f"Free: {_kinds(account.free)}.")
    if account.report is not None:
        blocks.append(f"```text\n{_report(account.report)}\n```")
    if derivation:
        blocks += [_markdown_derivation(layer) for layer in account.layers]
    return "\n\n".join(blocks)


def render(account: Account, form: str, *, derivation: bool = False) -> str:
    """Format the account as ``text``, ``markdown`` or ``mathml``, which is the derivation alone."""
    if form == "mathml":
        return render_mathml(account)
    return (render_markdown if form == "markdown" else render_text)(account, derivation=derivation)


def _table(account: Account) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [HEADER]
    rows += [
        (
            layer.name,
            layer.kind,
            f"{layer.parameters:,}",
            f"{layer.operations:,}",
            f"{layer.macs:,}",
        )
        for layer in account.layers
    ]
    total = "at least" if account.lower_bound else "total"
    sums = (account.parameters, account.operations, account.macs)
    rows.append((total, "", *(f"{number:,}" for number in sums)))
    return rows


def _amounts(account: Account) -> list[Sequence[str]]:
    rows = [(what, f"{operations:,}", f"{macs:,}") for what, operations, macs in amounts(account)]
    return [("work", "operations", "MACs"), *rows] if rows else []


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


def _list(noted: Iterable[Noted]) -> str:
    return ", ".join(map(str, noted))


def _kinds(noted: Iterable[Noted]) -> str:
    """List the noted operations, places together."""
    times: Counter[str] = Counter()
    for each in noted:
        times[each.operation] += each.times
    return ", ".join(f"{name} ({n})" if n > 1 else name for name, n in times.items())


def _report(report: ReportCount) -> str:
    """Format the count of the report of 2019, and the terms of the difference."""
    rows: list[Sequence[str]] = [("the report of 2019 counts", "parameters", "operations")]
    rows += [(p.layer, f"{p.parameters:,}", f"{p.operations:,}") for p in report.parts]
    rows.append(("together", f"{report.parameters:,}", f"{report.operations:,}"))
    rows += [
        (f"+ {o.layer}: {o.reason}", f"{o.parameters.value:,}", f"{o.operations.value:,}")
        for o in report.omissions
    ]
    rows.append(
        (
            "exact",
            f"{report.parameters + report.missing_parameters:,}",
            f"{report.operations + report.missing_operations:,}",
        )
    )
    block = _columns(rows)
    if not report.omissions:
        return f"{block}\nthe report leaves out nothing"
    terms = [line for omission in report.omissions for line in explain(omission)]
    missing = (
        f"the report leaves out {report.missing_parameters:,} parameters and "
        f"{report.missing_operations:,} operations:"
    )
    return "\n".join(
        [
            block,
            missing,
            *(f"  {line.label}: {' = '.join(line.steps)}" for line in terms),
        ]
    )


def _derivation(layer: LayerCost) -> str:
    lines = [f"{layer.name}: {layer.kind}"]
    lines += [_line(line) for line in derive(layer)]
    if symbols := legend(layer):
        meanings = (f"{s.name} = {s.number:,} {s.meaning}" for s in symbols.values())
        lines.append("  where " + ", ".join(meanings))
    return "\n".join(lines)


def _line(line: Line) -> str:
    indent = "    " if line.part else "  "
    return f"{indent}{line.label}: {' = '.join(line.steps)}"


def _markdown_derivation(layer: LayerCost) -> str:
    lines = [f"#### {layer.name}: {layer.kind}", ""]
    lines += [
        f"{'  ' if line.part else ''}- {line.label}: "
        + " = ".join(f"`{step}`" for step in line.steps)
        for line in derive(layer)
    ]
    if symbols := legend(layer):
        meanings = (f"`{s.name}` = {s.number:,} {s.meaning}" for s in symbols.values())
        lines += ["", "where " + ", ".join(meanings)]
    return "\n".join(lines)
