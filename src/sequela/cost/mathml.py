"""Formulas as MathML, and the derivation of an account as an HTML fragment."""

from html import escape

from sequela.cost.derivation import Line, derive, explain, legend
from sequela.cost.ledger import Account, LayerCost
from sequela.cost.rules.formula import Form, Formula, Number, Symbol


def render_mathml(account: Account) -> str:
    """Render the derivation: a ``<section>`` for each layer, a ``<math>`` element for each line.

    The fragment has no style and no script; classes are ``derivation``, ``part`` and ``symbols``.
    """
    sections = [_section(layer) for layer in account.layers]
    if account.report is not None and account.report.omissions:
        terms = [line for omission in account.report.omissions for line in explain(omission)]
        sections.append(
            '<section class="derivation"><h4>What the report of 2019 leaves out</h4>'
            f"{_lines(terms)}</section>"
        )
    return "\n".join(sections)


def math(formula: Formula) -> str:
    """Render a formula, its substitution and its value as one ``<math>`` element.

    Example:
        >>> math(Symbol("n", 3, "inputs") + 1)[:50]
        '<math><mrow><mrow><mi>n</mi><mo>+</mo><mn>1</mn></'
    """
    value = f"<mn>{formula.value:,}</mn>"
    if isinstance(formula, Number):
        return f"<math>{value}</math>"
    substituted = formula.write(MATHML.substituted)
    plain = f"<mn>{formula.value}</mn>"
    given = value if substituted == plain else substituted
    steps = dict.fromkeys((formula.write(MATHML), given, value))
    return f"<math><mrow>{'<mo>=</mo>'.join(steps)}</mrow></math>"


def _section(layer: LayerCost) -> str:
    where = ", ".join(
        f"<math><mrow>{_symbol(s)}<mo>=</mo><mn>{s.number:,}</mn></mrow></math> {escape(s.meaning)}"
        for s in legend(layer).values()
    )
    title = f"<h4>{escape(layer.name)}: {escape(layer.kind)}</h4>"
    symbols = f'<p class="symbols">{where}</p>' if where else ""
    return f'<section class="derivation">{title}{_lines(derive(layer))}{symbols}</section>'


def _lines(lines: list[Line]) -> str:
    part = ' class="part"'
    items = (f"<li{part * e.part}>{escape(e.label)}: {math(e.formula)}</li>" for e in lines)
    return f"<ul>{''.join(items)}</ul>"


def _symbol(symbol: Symbol) -> str:
    base, _, subscript = symbol.name.partition("_")
    letter = f"<mi>{escape(base)}</mi>"
    return f"<msub>{letter}<mi>{escape(subscript)}</mi></msub>" if subscript else letter


MATHML = Form(
    "<mn>{}</mn>",
    _symbol,
    {"+": "<mo>+</mo>", "-": "<mo>&#x2212;</mo>", "·": "<mo>&#x22C5;</mo>"},
    "<mrow><mo>(</mo>{}<mo>)</mo></mrow>",
    "<mrow>{}</mrow>",
)
