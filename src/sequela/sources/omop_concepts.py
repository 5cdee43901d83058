"""The concepts of OMOP: the codes and words of its numbers."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from sequela.sources.declarations import Frames

Frame = nw.LazyFrame[Any]

CONCEPTS = (
    "concept",
    "2b_concept",
)  # the second is the demo of MIMIC-IV's name for its own concepts
FAMILIES = {
    "ICD9Proc": "ICD9PROC",
    "CPT4": "CPT",
}  # other sources' names
DOTTED = ("ICD9CM", "ICD10CM", "ICD9Proc")


def one_of(conditions: Mapping[str, nw.Expr]) -> nw.Expr:
    """Return the first word whose condition holds; null where none does."""
    found: nw.Expr = nw.lit(None, nw.String())
    for word, where in reversed(list(conditions.items())):
        found = nw.when(where).then(nw.lit(word)).otherwise(found)
    return found


def named(column: str, words: Mapping[int, str]) -> nw.Expr:
    """Return the word of a concept; null for any other."""
    return one_of({word: nw.col(column) == number for number, word in words.items()})


def concepts(frames: Frames) -> Frame | None:
    """Return all concepts: ``concept_id``, ``concept_code``, ``code``, ``words``."""
    found = [frames[name] for name in CONCEPTS if name in frames]
    if not found:
        return None
    first = found[0]
    for more in found[1:]:
        first = nw.concat([first, more.join(first, on="concept_id", how="anti")])
    vocabulary, written = nw.col("vocabulary_id"), nw.col("concept_code")
    family = nw.coalesce(
        one_of({ours: vocabulary == theirs for theirs, ours in FAMILIES.items()}), vocabulary
    )
    dotless = nw.when(vocabulary.is_in([*DOTTED])).then(
        written.str.replace_all(".", "", literal=True)
    )
    code = nw.concat_str([family, nw.lit("//"), nw.coalesce(dotless, written)])
    return first.filter(nw.col("concept_id") != 0).select(
        "concept_id", "concept_code", code=code, words=nw.col("concept_name")
    )


def with_concept(rows: Frame, frames: Frames, column: str, name: str) -> Frame:
    """Add ``NAME_code``, ``NAME_words`` and ``NAME_own``, the code in its vocabulary."""
    known = concepts(frames)
    if known is None:
        blank = nw.lit(None, nw.String())
        return rows.with_columns(**{f"{name}_{each}": blank for each in ("code", "words", "own")})
    right = known.select(
        nw.col("concept_id").alias(column),
        nw.col("code").alias(f"{name}_code"),
        nw.col("words").alias(f"{name}_words"),
        nw.col("concept_code").alias(f"{name}_own"),
    )
    return rows.join(right, on=column, how="left")


def with_ancestor(rows: Frame, frames: Frames, column: str, levels: int) -> Frame:
    """Add the ``ancestor`` of a concept, or the concept where none is so many levels above.

    Among several at that level the one with the lowest number is used. ``coarser`` is true where
    there is one.
    """
    above = frames["concept_ancestor"].filter(
        nw.col("min_levels_of_separation") == levels, nw.col("ancestor_concept_id") != 0
    )
    right = above.group_by("descendant_concept_id").agg(above=nw.col("ancestor_concept_id").min())
    right = right.select("above", **{column: nw.col("descendant_concept_id")})
    return rows.join(right, on=column, how="left").with_columns(
        ancestor=nw.coalesce("above", column), coarser=~nw.col("above").is_null()
    )


def with_values(rows: Frame, frames: Frames) -> Frame:
    """Add the ``unit``, and ``code_and_value`` of rows whose value is not a number."""
    rows = with_concept(rows, frames, "unit_concept_id", "unit")
    rows = with_concept(rows, frames, "value_as_concept_id", "value")
    value = nw.coalesce("value_as_string", "value_words")
    both = nw.concat_str([nw.col("code"), nw.lit("//"), value])
    return rows.with_columns(
        unit=nw.coalesce("unit_own", "unit_source_value"),
        code_and_value=nw.coalesce(both, nw.col("code")),
    )
