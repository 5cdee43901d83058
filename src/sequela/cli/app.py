"""The command ``sequela``: its subcommands by name, and how errors reach the user."""

import sys

from cyclopts import App, CycloptsError
from rich.console import Console

from sequela import __version__
from sequela.errors import SequelaError

app = App(
    name="sequela",
    version=__version__,
    help="Clinical sequence models: from raw EEG and hospital tables to an honest evaluation.",
    help_format="markdown",
)

# Each command is named by where it stands and imported when it is called: the help stays quick.
app.command(
    "sequela.cli.reproduce:reproduce",
    name="reproduce",
    help="Rebuild the 2019 report and set our numbers beside its claims.",
)
app.command("sequela.cli.train:train", name="train", help="Train one model and write a run folder.")
app.command(
    "sequela.cli.evaluate:evaluate",
    name="evaluate",
    help="Recompute a run's numbers, or judge its model on other data.",
)
app.command(
    "sequela.cli.report:report", name="report", help="Build one HTML page from run folders."
)
app.command(
    "sequela.cli.cost:cost",
    name="cost",
    help="Count parameters and operations of a model, with the derivation.",
)
app.command("sequela.cli.data:data_app", name="data", help="List, fetch and check data sets.")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; what a user did wrong prints in one line and exits with status 2."""
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except (SequelaError, CycloptsError) as error:
        message = " ".join(str(error).split())
        Console(stderr=True, soft_wrap=True).print(
            f"sequela: error: {message}", markup=False, highlight=False
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print("sequela: interrupted; --resume continues a run", file=sys.stderr)
        sys.exit(130)
