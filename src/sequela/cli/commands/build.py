"""``sequela build``: hospital tables to a MEDS data set."""

from pathlib import Path

from sequela.cli.names import check_names


def build(
    name: str,
    /,
    *,
    out: Path,
    root: str | None = None,
    engine: str = "duckdb",
    master: str | None = None,
    seed: int = 0,
    tables: list[str] | None = None,
    changed: list[str] | None = None,
    allow_set_aside: list[str] | None = None,
    codes: str | None = None,
    sets: list[str] | None = None,
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
        root: Folder of the published files, or address of a database that holds them
            (`postgresql://user@host/database`, password in PGPASSWORD or ~/.pgpass; or
            `odbc:DSN=hospital;UID=user`, password in SEQUELA_ODBC_PASSWORD); default: the usual
            search path.
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
        sets: For physionet2012: read this set, of a, b and c; may be repeated (default: all that
            are there).
        schema: Schema of the database that holds the tables (default: the search path).
        declaration: For tables: the file that declares them (default: tables.toml next to them).
        title: Name of the data on pages and cards (default: the name of the data set or of the
            declaration).
    """
    options = dict(locals())
    check_names(data=name)
    from sequela.tables.hospitals import build as build_data

    for line in build_data(**options, on_place=lambda origin: print(f"{name}: {origin}")).lines():
        print(line)
    print(f"written to {out}")
