"""The page of a site's release, made of its JSON alone, and the verification of both."""

from pathlib import Path

from sequela.analysis.release import FILE, PAGE, Release, read_release, seal_of
from sequela.analysis.site import verify_numbers
from sequela.errors import RunError
from sequela.evaluation.metrics import METRICS
from sequela.files import temporary
from sequela.report.page import write_page
from sequela.version import __version__


def write_site_page(release: Release, out: Path) -> Path:
    """Write the page of a release; the same release gives the same bytes."""
    return write_page(
        "site.html.j2",
        out,
        title=f"{release.study}: {release.site}",
        release=release,
        metrics=METRICS,
        seal=seal_of(release.model_dump(mode="json")),
    )


def verify_release(folder: Path) -> list[str]:
    """Return sentences on what agrees in a release, or raise a RunError for what does not."""
    release, page = read_release(folder), folder / PAGE
    if extra := sorted({path.name for path in folder.iterdir()} - {FILE, PAGE}):
        raise RunError(f"{folder}: has also {extra[0]}: a release is {FILE} and {PAGE} alone")
    agrees = ["the JSON is as the site wrote it, and its sums add up"]
    if release.sequela == __version__:
        with temporary() as work:
            built = write_site_page(release, work / PAGE).read_bytes()
        if not page.is_file() or page.read_bytes() != built:
            raise RunError(f"{page}: is not the page of {folder}: ask the site again")
        agrees.append("the page shows the JSON, and nothing else")
    else:
        agrees.append(f"the page is of Sequela {release.sequela}, so it was not built again")
    if verify_numbers(release, folder):
        agrees.append("all results match the predictions next to the release")
    return agrees
