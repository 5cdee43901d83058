"""The display of objects in notebooks: named facts as text and HTML."""

from collections.abc import Mapping, Sequence
from html import escape


def as_text(title: str, facts: Mapping[str, str]) -> str:
    """Format the facts one below the other.

    Example:
        >>> print(as_text("bonn", {"segments": "9,200", "licence": "CC BY 4.0"}))
        bonn
          segments  9,200
          licence   CC BY 4.0
    """
    width = max(map(len, facts))
    return "\n".join([title, *(f"  {name:{width}}  {fact}" for name, fact in facts.items())])


def as_html(title: str, facts: Mapping[str, str], *, below: Sequence[str] = ()) -> str:
    """Format the facts as an HTML table."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(fact)}</td></tr>'
        for name, fact in facts.items()
    )
    caption = f'<caption style="text-align:left"><b>{escape(title)}</b></caption>'
    return f"<table>{caption}<tbody>{rows}</tbody></table>{''.join(below)}"
