"""``sequela build``: hospital tables to a MEDS data set."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def build(
    name: str,
    /,
    *,
    out: Path,
    root: str | None = None,
    engine: str = "duckdb",
    master: str | None = None,
    seed: int = 0,
    tables: Annotated[list[str] | None, Parameter(negative=())] = None,
    changed: Annotated[list[str] | None, Parameter(negative=())] = None,
    allow_set_aside: Annotated[list[str] | None, Parameter(negative=())] = None,
    codes: str | None = None,
    ancestors: int | None = None,
    dated_as_recorded: Annotated[bool, Parameter(negative=())] = False,
    schema: str | None = None,
    declaration: Path | None = None,
    title: str | None = None,
) -> None:
    """Convert hospital tables to MEDS events, and account for every row.

    The time of an event is the time at which the fact became available. The account, printed and
    written to OUT/account.json, counts for each table the rows that became events and the rows that
    were set aside, with the reason.

    Example: `sequela build mimic3 --root mimiciii/1.4 --out events`

    Args:
        name: Data set of hospital tables: one of kind EHR in `sequela data list`.
        out: Folder to write to; it must be new or empty.
        root: Folder of the published files, or address of a PostgreSQL database that holds them
            (`postgresql://user@host/database`, password in PGPASSWORD or ~/.pgpass); default: the
            usual search path.
        engine: Engine for the table work: duckdb (in this process) or spark.
        master: Address of the master of a Spark cluster, such as `spark://host:7077`.
        seed: Seed of the split into train, tuning and held_out.
        tables: Read this table with the required ones; may be repeated (default: all).
        changed: Accept that this table was changed on purpose after its publication: its checksum,
            order of columns and number of rows are not compared; may be repeated.
        allow_set_aside: Accept that more than 5 % of the rows of this table are set aside; may be
            repeated.
        codes: For omop: code each row by its standard concept (standard: SNOMED, RxNorm, LOINC;
            the default) or by the concept of the hospital (source: ICD10CM, NDC).
        ancestors: For omop: code each row by the ancestor of its standard concept that is this
            many levels above it (table concept_ancestor).
        dated_as_recorded: For omop: date each row at its start, although bills are written after
            the discharge. This LEAKS, and every run on the events is marked; it shows how much the
            leak inflates the score.
        schema: Schema of the PostgreSQL database that holds the tables (default: the search path).
        declaration: For tables: the file that declares them (default: tables.toml next to them).
        title: Name of the data on pages and cards (default: the name of the data set or of the
            declaration).
    """
    from dataclasses import replace

    from sequela.sources.build import build as build_source
    from sequela.sources.hospitals import place_of, source_read_so

    ways = {"codes": codes, "ancestors": ancestors, "dated_as_recorded": dated_as_recorded}
    place, origin = place_of(name, root, schema)
    source = source_read_so(name, ways, declaration or place)
    if title is not None:
        source = replace(source, title=title)
    print(f"{name}: {origin}")
    account = build_source(
        source,
        place,
        out,
        engine=engine,
        master=master,
        seed=seed,
        tables=tables,
        changed=changed or (),
        allow_set_aside=allow_set_aside or (),
    )
    for line in account.lines():
        print(line)
    print(f"written to {out}")
