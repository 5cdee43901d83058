"""How seeds are packed, always to the same bytes."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable

from fuzz.parser import Files

_EPOCH = (1980, 1, 1, 0, 0, 0)


def zipped(name: str) -> Callable[[Files], Files]:
    """All files in one zip file."""

    def pack(files: Files) -> Files:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for member, content in files.items():
                info = zipfile.ZipInfo(member, _EPOCH)
                archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
        return {name: out.getvalue()}

    return pack


def gzipped(files: Files) -> Files:
    """Each file by itself."""
    return {f"{name}.gz": gzip.compress(content, 6, mtime=0) for name, content in files.items()}


def tarred(name: str, apart: str) -> Callable[[Files], Files]:
    """All files in one tar.gz file, but for the one that lies ``apart``."""

    def pack(files: Files) -> Files:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for member, content in files.items():
                if member == apart:
                    continue
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return {name: gzip.compress(out.getvalue(), 6, mtime=0), apart: files[apart]}

    return pack
