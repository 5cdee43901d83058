"""``sequela evaluate`` and ``combine``: evaluation on a test set, on other data, and over sites."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sequela.cli.names import Form, HideBelow, Json, TrustCode, check_names, data_sets, known
from sequela.errors import DataError, SettingError
from sequela.files import require_file

if TYPE_CHECKING:
    from sequela.analysis.site import Place

_OWN = "the test set of the run"


def evaluate(
    run: Path,
    /,
    *,
    data: Annotated[str | None, Parameter(show_default=known(_OWN, data_sets))] = None,
    root: Path | None = None,
    labels: Path | None = None,
    label: str | None = None,
    score: str | None = None,
    group: str | None = None,
    form: Form = None,
    json: Json = False,
    page: Path | None = None,
    hide_below: HideBelow = None,
    out: Path | None = None,
    site: str | None = None,
    membership: bool = False,
    check: bool = False,
    trust_code: TrustCode = False,
) -> None:
    """Evaluate a run on its test set, apply its model to other data, or evaluate predictions.

    Metrics are computed again from the predictions in the run folder. Each evaluation on the test
    set is logged. In other data, recordings or subjects of the model's training or validation set
    are set aside and counted, even if they have other names. Hospital records get the task of the
    run. Codes outside the model's vocabulary count as unknown, and measurements keep the bins of
    the training set. Nothing is fitted again. A run whose sets overlap is refused.

    With --page, writes a page of the external validation: differences between the populations,
    each metric next to the metric on the run's own test set with the interval of the difference,
    and the calibration on both. For a run that was split by site, --page without --data compares
    the sites of the test set with the sites of the validation set. `sequela update` recalibrates.

    Instead of a run, a table with the predictions of any model is evaluated with the same metrics
    and intervals: `sequela evaluate predictions.csv --label died --score risk --group patient`. The
    probability is of the second class, from 0 to 1, in percent or as a logit; of a table with a
    split, the test set is evaluated.

    The package of a study (`sequela share --study`) is evaluated on the patients of a site:
    `sequela evaluate ward-mortality.zip --data omop --root DATABASE --out site`. The folder
    site/release has only results, and may be sent. --check prints whether the site can take part.

    Example: `sequela evaluate runs/gru-improved --data uci-seizure --root uci.csv`

    Args:
        run: Run folder, a table of predictions (csv, Parquet), or a package of a study (zip).
        data: Data set to apply the model to.
        root: Folder or file of the data, without --data of other data of the run's data set
            (default: the usual search path).
        labels: MEDS label file of the other data, for a run that took its labels from a file.
        label: Column of the class, of a table of predictions.
        score: Column of the probability, of a table of predictions.
        group: Column of the patients, of a table of predictions.
        form: Form of csv files of predictions as KEY=VALUE, such as decimal=,; repeatable.
        page: Write the page of the external validation to this file.
        out: Folder of the site to write for a package; it must not exist.
        site: Name of the site in its release (default: a name made of a hash of the data).
        membership: Add the AUROC with which a model separates the site's patients from the lead's.
        check: Print whether the site can take part, and compute no prediction.
    """
    check_names(data=data)
    from json import dumps

    if run.suffix == ".zip":
        fixed = any((label, score, group, form, page, json))
        place = (data, root, labels)
        _evaluate_package(run, place, out, site, membership=membership, check=check, fixed=fixed)
        return
    if out or site or membership or check:
        raise SettingError(
            f"{run}: --out, --site, --membership and --check are for the package of a study, a zip "
            "file; leave them out"
        )
    # A run is a folder, so a file is somebody's table of predictions.
    if run.is_file():
        if page is not None:
            require_file(page, ".html")
        from sequela.api.evaluation import evaluate_predictions

        evaluation, taken_for = evaluate_predictions(
            run, label=label, score=score, group=group, form=form or ()
        )
        print(dumps(evaluation.numbers, indent=1) if json else f"{taken_for}\n{evaluation}")
        if page is not None:
            from sequela.report.page import write_page

            facts = {"title": f"Predictions of {run.name}", "taken_for": taken_for}
            write_page("evaluation.html.j2", page, numbers=evaluation._repr_html_(), **facts)
            print(f"page: {page.resolve()}")
        return

    if label or score or group or form:
        raise SettingError(
            f"{run}: --label, --score, --group and --format are for a table of predictions, and a "
            "run has its own; leave them out"
        )
    from sequela.analysis.evaluate import evaluate_run
    from sequela.cli.numbers import open_console, say_numbers, say_path
    from sequela.runs.find import open_run

    if page is None:
        numbers = evaluate_run(run, data=data, root=root, labels=labels, trust_code=trust_code)
    else:
        from sequela.analysis.evaluate import judge_elsewhere
        from sequela.report.pages.external_page import build_external

        require_file(page, ".html")
        validation = judge_elsewhere(
            run, data=data, root=root, labels=labels, trust_code=trust_code
        )
        build_external(validation, page, hide_below)
        numbers = dict(validation.numbers)
    if json:
        print(dumps(numbers, indent=1))
        return
    console = open_console()
    say_numbers(console, open_run(run), numbers)
    if page is not None:
        say_path(console, "page", page.resolve())


def _evaluate_package(
    path: Path,
    place: "Place",
    out: Path | None,
    site: str | None,
    *,
    membership: bool,
    check: bool,
    fixed: bool,
) -> None:
    if fixed:
        raise SettingError(
            f"{path}: the analysis of a package is fixed, and its site has its own page: leave "
            "--label, --score, --group, --format, --page and --json out"
        )
    from sequela.analysis.site import RELEASE, check_of, evaluate_site

    if check:
        checked = check_of(path, place)
        print(*checked.lines, sep="\n")
        if checked.problems:
            raise DataError(f"{path}: this site cannot take part: {checked.problems[0]}")
        return
    if out is None:
        raise SettingError(f"{path}: name the folder of the site with --out, or give --check")
    from sequela.evaluation.number import number, within
    from sequela.report.pages.site_page import write_site_page

    release = evaluate_site(path, out, place, write_site_page, site=site, membership=membership)
    for results in release.models.values():
        measures = (
            f"{name} {number(m.value)} {within(m.low, m.high)}"
            for name, m in results.measures.items()
        )
        print(f"{results.title}: {', '.join(measures)}")
    print(f"release of {release.site}, which may be sent: {(out / RELEASE).resolve()}")


def combine(
    releases: list[Path], /, *, out: Path, models: bool = False, below: float | None = None
) -> None:
    """Combine the releases of several sites: their mean, their spread, and a next site.

    Pools AUROC, observed / expected events and calibration slope by random effects, with the
    interval for a next site, outliers, each site left out, and what explains the spread. The site
    that trained a model is never pooled. Writes network.json, with all numbers, and network.html.
    Releases of other packages, edited ones, and a site twice are refused.

    Example: `sequela combine site-1/release site-2/release --out network`

    Args:
        releases: Folders with a release of a site each.
        out: Folder to write to.
        models: Compare the models of several packages, each of another lead site: a table of
            training site by evaluation site.
        below: Compute the probability that a next site has an AUROC below this (5 sites or more).
    """
    from sequela.analysis.network import combine as combine_releases
    from sequela.files import whole
    from sequela.report.pages.network_page import build_network, network_text

    network = combine_releases(releases, several_packages=models, below=below)
    with whole(out / "network.json") as partial:
        partial.write_text(f"{network.json()}\n", "utf-8")
    page = build_network(network, out / "network.html")
    print(f"{network_text(network)}page: {page.resolve()}")
