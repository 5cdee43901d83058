"""Tables that Spark finds: in a schema of its catalogue, or as files at an address."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sequela.errors import DataNotFoundError, SettingError, without_values
from sequela.tables.declarations import Frame, Kind
from sequela.tables.engine import Engine, SparkEngine
from sequela.tables.published import stem_of
from sequela.tables.stored_tables import Stored, file_of, parquet_files


class SparkTables:
    """The tables at an address such as ``s3a://bucket/folder``, or of ``catalog.schema``."""

    def __init__(self, root: str, engine: Engine) -> None:
        if not isinstance(engine, SparkEngine):
            raise SettingError(
                f"--root {root.partition(':')[0]}://... is for Spark: add --engine spark, or name "
                "a folder; databases are read at odbc:..., postgresql://... and in DuckDB files"
            )
        self._root, self._engine, self._session = root.rstrip("/"), engine, engine.session
        self.place = self._root if "://" in root else f"the schema {root} of Spark"
        self._files: list[Path] = []  # relative to the address
        if "://" in root:
            listing = self._session.read.format("binaryFile").option("recursiveFileLookup", "true")
            with self._translated():
                rows = listing.load(self._root).select("path").collect()
            above = urlsplit(self._root).path + "/"
            self._files = [Path(urlsplit(row["path"]).path.removeprefix(above)) for row in rows]

    def table(self, name: str) -> Stored | None:
        """See ``Store``."""
        stem, read = stem_of(name), self._session.read
        csv, parquet = file_of(name, self._files), parquet_files(self._files, Path()).get(stem)
        place = f"{self._root}.{stem}"
        with self._translated():
            if csv:
                place = f"{self._root}/{csv}"
                rows = read.csv(place, header=True)
            elif parquet:
                place = f"{self._root}/{parquet[0]}"
                rows = read.parquet(*(f"{self._root}/{path}" for path in parquet))
            elif not self._files and self._session.catalog.tableExists(place):
                rows = read.table(place)
            else:
                return None
        columns = [column.lower() for column in rows.columns]

        def scan(kinds: Mapping[str, Kind], _: Engine) -> Frame:
            if csv:
                return self._engine.keep(self._engine.read_csv(place, columns, kinds), name)
            return self._engine.keep(self._engine.read_table(rows, place, kinds), name)

        return Stored(place.removeprefix(self._root)[1:], place, columns, scan)

    def close(self) -> None:
        """See ``Store``."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            yield
        except (Py4JError, PySparkException) as error:
            words = without_values(str(error).partition("\n\tat ")[0])
            raise DataNotFoundError(f"{self.place}: Spark cannot read it ({words})") from error
