"""The claims of a report, declared before training: estimand, population and margin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sequela.errors import DataError
from sequela.formats import opened

Relation = Literal["about", "below", "above"]
Condition = Literal["no recurrence", "one class predicted"]


class Claim(BaseModel):
    """A claim of a report: one number that is about, below or above a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field(min_length=1, description="Its name in results.json.")
    claim: str = Field(min_length=1, description="What the report says.")
    where: str = Field(default="", description="The section of the report.")
    models: tuple[str, ...] = Field(min_length=1, description="The models that it is about.")
    statistic: str = Field(
        default="level", description="The number; one of sequela.studies.statistics.STATISTICS."
    )
    metric: str = Field(default="accuracy", description="Of a level or a change: the metric.")
    classes: tuple[str, ...] = Field(default=(), description="Of a recall change: the classes.")
    estimand: str = Field(min_length=1, description="The number in words.")
    population: str = Field(min_length=1, description="On whom.")
    relation: Relation = Field(description="Relation of the number to the value.")
    value: float = Field(description="The value.")
    margin: float = Field(
        default=0.0, ge=0, description="How far beyond the value the number may be."
    )
    primary: bool = Field(default=False, description="A primary claim, whose p-value is corrected.")
    untestable: tuple[Condition, ...] = Field(
        default=(), description="Conditions that make the claim untestable."
    )
    prevalence: tuple[float, float] = Field(
        default=(0.0, 1.0),
        description="Share of class 1 in the report, from and to, of a number that depends on it: "
        "where the data have another, the number is weighted to both.",
    )
    fewest: int = Field(
        default=0, ge=0, description="Fewest examples of the rarer class for a test."
    )

    @model_validator(mode="after")
    def _can_hold(self) -> "Claim":
        # An exact value has probability 0, so no data could ever support the claim.
        if self.relation == "about" and not self.margin:
            raise ValueError("a number that is about a value needs a margin")
        return self


class _Claims(BaseModel):
    """A file of claims: tables ``claim``, and their shared keys before them."""

    claim: tuple[Claim, ...]

    @model_validator(mode="before")
    @classmethod
    def _with_shared_keys(cls, tables: dict[str, object]) -> dict[str, object]:
        shared = {key: value for key, value in tables.items() if key != "claim"}
        claims = tables.get("claim")
        if not isinstance(claims, list) or not all(isinstance(claim, dict) for claim in claims):
            return tables
        return {"claim": [{**shared, **claim} for claim in claims]}


def read(path: Path) -> tuple[Claim, ...]:
    """Read the claims of a file."""
    claims = opened.declaration(path, _Claims, "a declaration of claims in TOML").claim
    # Verdicts by split and question are joined by id: of two equal ids, one would be lost.
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise DataError(f"{path}: '{twice[0]}' names two claims; name each once")
    return claims


def to_toml(claims: Sequence[Claim]) -> str:
    """Format claims as a file that :func:`read` reads."""
    import tomlkit

    tables: list[dict[str, object]] = [claim.model_dump(mode="json") for claim in claims]
    return tomlkit.dumps({"claim": tables})
