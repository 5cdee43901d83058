"""``sequela build``: hospital tables to a MEDS data set."""

from pathlib import Path


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
) -> None:
    """Write a hospital data set as MEDS events, with an account of every row.

    Each event's time is when the fact was known. The account, in words here and in
    OUT/account.json, says what became of every row that was read.

    Example: `sequela build mimic3 --root mimiciii/1.4 --out events`

    Args:
        name: mimic3, mimic4, eicu, physionet2012, nafld or meds.
        out: Folder to write; it must be new or empty.
        root: Folder with the published files, or address of a PostgreSQL database that holds them
            (`postgresql://user@host/database`, password in PGPASSWORD or ~/.pgpass); the usual
            places if not given.
        engine: duckdb (in this process) or spark.
        master: Address of a Spark cluster's master, such as `spark://host:7077`.
        seed: Of the split into train, tuning and held_out.
        tables: A table to read beside the required ones (may be repeated); all if not given.
    """
    from sequela.sources.build import build as build_source
    from sequela.sources.hospitals import place_of, source_of

    source = source_of(name)
    place, origin = place_of(name, root)
    print(f"{name}: {origin}")
    account = build_source(
        source, place, out, engine=engine, master=master, seed=seed, tables=tables
    )
    for line in account.lines():
        print(line)
    print(f"written to {out}")
