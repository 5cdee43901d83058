"""Split open data into the folders of hospitals, for a trial of a network study.

    python -m benchmarks.network.sites eicu ~/data/eicu-demo sites/eicu
    python -m benchmarks.network.sites physionet2012 ~/data/physionet2012 sites/physionet2012

Each folder holds the tables of the source, as published, with the rows of one hospital (or of a
group of hospitals), so that ``--data eicu --root sites/eicu/south`` reads it. eICU's hospitals are
small: they are grouped by region and teaching status. The stays of PhysioNet 2012 are from one
hospital; each of its four kinds of unit is a site, once for each set.
"""

import argparse
import io
import tarfile
from pathlib import Path

import duckdb

# Region and teaching status (blank: any) of the hospitals of a site: six sites with ten and more
# deaths each. The four regions' few teaching hospitals are too small to be sites of their own.
EICU = {
    "midwest": "region = 'Midwest' AND teachingstatus = 'f'",
    "south": "region = 'South' AND teachingstatus = 'f'",
    "west": "region = 'West' AND teachingstatus = 'f'",
    "northeast": "region = 'Northeast' AND teachingstatus = 'f'",
    "region-unknown": "region IS NULL AND teachingstatus = 'f'",
    "teaching": "teachingstatus = 't'",
}
STAYS = """
CREATE TABLE stays AS SELECT patientunitstayid, hospitalid
FROM read_csv('{root}/patient.csv*', all_varchar = true) AS patient
JOIN read_csv('{root}/hospital.csv*', all_varchar = true) AS hospital USING (hospitalid)
WHERE {condition}
"""
ROWS = """
COPY (
    SELECT * FROM read_csv('{table}', header = true, delim = ',', quote = '"', all_varchar = true)
    WHERE {key} IN (SELECT {key} FROM stays)
)
TO '{out}' (HEADER, COMPRESSION gzip)
"""
UNITS = {
    "1": "coronary-care",
    "2": "cardiac-surgery",
    "3": "medical",
    "4": "surgical",
}


def split_eicu(root: Path, out: Path) -> None:
    """Write the tables of each group of hospitals."""
    tables = sorted(path for path in root.iterdir() if path.name.endswith((".csv", ".csv.gz")))
    for site, condition in EICU.items():
        (out / site).mkdir(parents=True)
        with duckdb.connect() as connection:
            connection.execute(STAYS.format(root=root, condition=condition))
            for table in tables:
                name = table.name.split(".")[0]
                key = "hospitalid" if name == "hospital" else "patientunitstayid"
                path = out / site / f"{name}.csv.gz"
                connection.execute(ROWS.format(table=table, key=key, out=path))


def split_physionet2012(root: Path, out: Path) -> None:
    """Write the records and outcomes of each kind of unit in each set."""
    for outcomes in sorted(root.glob("Outcomes-?.txt")):
        name = outcomes.stem[-1]
        records: dict[str, dict[str, bytes]] = {unit: {} for unit in UNITS}
        with tarfile.open(root / f"set-{name}.tar.gz") as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is None or not member.name.endswith(".txt"):
                    continue
                content = file.read()
                (unit,) = [
                    line.rpartition(b",")[2].strip().decode()
                    for line in content.splitlines()
                    if b",ICUType," in line
                ]
                records[unit][Path(member.name).stem] = content
        header, *lines = outcomes.read_text("utf-8").splitlines()
        for unit, files in records.items():
            folder = out / f"{UNITS[unit]}-{name}"
            folder.mkdir(parents=True)
            rows = [line for line in lines if line.partition(",")[0] in files]
            text = "\n".join([header, *rows]) + "\n"
            (folder / outcomes.name).write_text(text, "utf-8")
            with tarfile.open(folder / f"set-{name}.tar.gz", "w:gz") as archive:
                for stem, content in files.items():
                    entry = tarfile.TarInfo(f"set-{name}/{stem}.txt")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", choices=("eicu", "physionet2012"))
    parser.add_argument("root", type=Path, help="folder of the data")
    parser.add_argument("out", type=Path, help="folder to write, which must not exist")
    choices = parser.parse_args()
    split = {"eicu": split_eicu, "physionet2012": split_physionet2012}[choices.data]
    split(choices.root, choices.out)
    print(f"{choices.out}: {', '.join(sorted(path.name for path in choices.out.iterdir()))}")
