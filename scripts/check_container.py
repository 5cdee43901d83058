"""Run the commands of the container file without a container engine, and serve a model from there.

    python scripts/check_container.py FILE.onnx

What builds the image is run with an environment of its own in place of /opt/sequela. Its server is
started as the image's user, where that may be, and asked by the image's health check. Prints the
size of what the image would have beside Python.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text("utf-8")).splitlines()


def said(what: str) -> str:
    """What the last line that begins with a word says."""
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{what} ")][-1]


def build(work: Path) -> Path:
    """Run the commands that build; gives the environment."""
    source, target = work / "source", work / "sequela"
    source.mkdir()
    for line in LINES:
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, source / name)
    command = said("RUN").replace("/opt/sequela", str(target)).replace("/source", str(source))
    subprocess.run(command, shell=True, check=True)  # noqa: S602 - our own file
    return target


def _as_user(user: int, target: Path) -> dict[str, Any]:
    """How a process is started as a user; as this one where that user cannot run this Python."""
    given = {"user": user, "group": user, "extra_groups": []}
    try:
        subprocess.run([target / "bin" / "python", "-c", ""], check=True, **given)  # type: ignore[call-overload] # noqa: S603
    except PermissionError:
        return {}
    return given


def serve(target: Path, model: Path, work: Path) -> None:
    """Start the server as the image does, ask it by the health check, and stop it."""
    place = work / "model.onnx"
    shutil.copy(model, place)
    words = json.loads(said("ENTRYPOINT")) + json.loads(said("CMD"))
    command = [str(place) if word == "/model/model.onnx" else word for word in words]
    command[0] = str(target / "bin" / command[0])
    user = int(said("USER").partition(":")[0])
    environment = {"PATH": f"{target}/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: S108
    for path in (work, place):
        path.chmod(0o755)
    as_user = _as_user(user, target)
    with subprocess.Popen(command, env=environment, **as_user) as server:  # noqa: S603
        try:
            check = json.loads(said("HEALTHCHECK").partition("CMD ")[2])
            check[0] = str(target / "bin" / check[0])
            begin = time.monotonic()
            while subprocess.run(check, check=False, stderr=subprocess.DEVNULL).returncode:  # noqa: S603
                if server.poll() is not None or time.monotonic() - begin > 60:  # noqa: PLR2004
                    sys.exit("the server does not answer")
                time.sleep(0.5)
            print(
                f"healthy after {time.monotonic() - begin:.1f} s, as user "
                f"{as_user.get('user', os.getuid())}"
            )
        finally:
            server.terminate()
            print(f"ended with status {server.wait(20)}")


def main() -> None:
    with TemporaryDirectory() as name:
        target = build(Path(name))
        size = sum(p.lstat().st_size for p in target.rglob("*") if not p.is_symlink())
        print(f"beside Python, the image has {size / 1e6:.0f} MB")
        serve(target, Path(sys.argv[1]), Path(name))


if __name__ == "__main__":
    main()
