"""The command ``sequela``: its subcommands and its error messages."""

import os
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from sequela.cli.audit import audit
from sequela.cli.build import build
from sequela.cli.card import card
from sequela.cli.compare import compare
from sequela.cli.cost import cost
from sequela.cli.data import data_app
from sequela.cli.declared import study
from sequela.cli.ensemble import ensemble
from sequela.cli.evaluate import evaluate
from sequela.cli.explain import explain
from sequela.cli.export import export
from sequela.cli.plain import print_plainly
from sequela.cli.predict import predict
from sequela.cli.report import report
from sequela.cli.reproduce import reproduce
from sequela.cli.scan import scan
from sequela.cli.serve import serve
from sequela.cli.share import share
from sequela.cli.verify import verify
from sequela.cli.written import as_written
from sequela.errors import MissingExtraError, SequelaError, fixable, is_memory, system_words
from sequela.plugins import load_plugins
from sequela.version import __version__

app = App(
    name="sequela",
    version=__version__,
    help="Clinical sequence models: from raw EEG and hospital tables to an unbiased evaluation.",
    help_format="markdown",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(converter=as_written),
)

# Commands import heavy modules when they are called, so that the help stays quick.
for _command in (
    reproduce,
    study,
    evaluate,
    audit,
    compare,
    ensemble,
    explain,
    export,
    predict,
    report,
    card,
    scan,
    serve,
    share,
    verify,
    cost,
    data_app,
    build,
):
    app.command(_command)
# Its options are made from the settings, which load pydantic.
app.command(
    "sequela.cli.train:train_app", name="train", help="Train one model and write a run folder."
)
app.command(
    "sequela.cli.tune:tune_app",
    name="tune",
    help="Search for good settings of a network, then train a run with the best.",
)


_OF_TRAINING = ("torch", "accelerate")
"""Libraries of the extra ``train``."""
_MEMORY = (
    "out of memory: finished work is kept; close other programs, or use less memory "
    "(--batch-size, --processes), and run the command again"
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    An error of the user or of the system is printed in one line. The exit status is 2 if the user
    can fix it, else 1.
    """
    print_plainly()
    try:
        load_plugins()
        app(arguments, exit_on_error=False, print_error=False)
    except (SequelaError, CycloptsError) as error:
        _refuse(str(error), 2)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_TRAINING:
            raise
        _refuse(str(MissingExtraError.of("train", "reading or training a network")), 2)
    except KeyboardInterrupt:
        hint = "run the same command again to continue (sequela train: with --resume)"
        print(f"sequela: interrupted; {hint}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader closed the output; the rest of the buffer is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if is_memory(error):
            _refuse(_MEMORY, 2)
        if not isinstance(error, OSError):
            raise
        _refuse(system_words(error), 2 if fixable(error) else 1)


def _refuse(message: str, status: int) -> NoReturn:
    """Print an error in one line and exit."""
    Console(stderr=True, soft_wrap=True).print(
        f"sequela: error: {' '.join(message.split())}", markup=False, highlight=False
    )
    sys.exit(status)
