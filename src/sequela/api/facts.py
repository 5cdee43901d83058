"""The display of objects in notebooks: named facts as text and HTML."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from typing import Any

import pyarrow as pa

from sequela.evaluation.number import number, within

_COLUMNS = pa.schema(
    [("number", pa.string()), *((name, pa.float64()) for name in ("value", "low", "high"))]
)


class Shown(ABC):
    """Named facts below a title."""

    @abstractmethod
    def _shown(self) -> tuple[str, dict[str, str]]:
        """Return the title and the facts."""

    def _below(self) -> str:
        """Return HTML below the facts."""
        return ""

    def __repr__(self) -> str:
        title, facts = self._shown()
        width = max(map(len, facts))
        return "\n".join([title, *(f"  {name:{width}}  {fact}" for name, fact in facts.items())])

    def _repr_html_(self) -> str:
        title, facts = self._shown()
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(fact)}</td></tr>'
            for name, fact in facts.items()
        )
        caption = f'<caption style="text-align:left"><b>{escape(title)}</b></caption>'
        return f"<table>{caption}<tbody>{rows}</tbody></table>{self._below()}"


Rows = list[dict[str, Any]]
Method = Mapping[str, Any] | None


class Measured(Shown):
    """Numbers with intervals."""

    @abstractmethod
    def _measured(self) -> tuple[Rows, Method]:
        """Return the rows of :meth:`frame`, and how the intervals were computed."""

    @property
    @abstractmethod
    def _title(self) -> str:
        """The title of the numbers."""

    def frame(self) -> pa.Table:
        """Return the numbers as a table: ``number``, ``value``, and the interval's bounds.

        Where a number has no interval, these are null.
        """
        return pa.Table.from_pylist(self._measured()[0], _COLUMNS)

    def to_pandas(self) -> Any:
        """Return :meth:`frame` as a pandas frame."""
        return self.frame().to_pandas()

    def _shown(self) -> tuple[str, dict[str, str]]:
        rows, how = self._measured()
        facts = {}
        for row in rows:
            value = "not defined" if row["value"] is None else number(row["value"])
            brackets = "" if row.get("low") is None else f" {within(row['low'], row['high'])}"
            facts[row["number"]] = value + brackets
        if how:
            resampled = f"{how['resamples']:,} resamples of {how['groups']:,} groups"
            facts["in brackets"] = f"{how['level']:.0%} interval: {how['method']}, {resampled}"
        return self._title, facts
