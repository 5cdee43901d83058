"""``sequela serve``: a model behind HTTP, with a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sequela.errors import MissingExtraError

_LIBRARIES = ("fastapi", "starlette", "uvicorn", "prometheus_client")


def serve(
    model: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: Annotated[bool | None, Parameter(negative="--no-token")] = None,
    batch: Annotated[int, Parameter(validator=Number(gte=1))] = 128,
    threads: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    most_bytes: int = 32_000_000,
    most_examples: int = 10_000,
    most_length: int = 1_000_000,
    timeout: float = 30.0,
    rate: float = 0.0,
    trust_code: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Serve a model: an HTTP interface for programs, and a page for people.

    The page at / takes a file, shows the signal or the visits, the probabilities with their
    conformal set, what moved the prediction, and the model's card. Programs ask /v1/predict;
    /openapi.json describes it. Nothing that is sent is kept or leaves this program. Only this
    machine reaches the server unless --host says otherwise: records of patients must not be
    offered to a network by accident. Needs the extra `serve`. Press Ctrl-C to stop: requests that
    are begun are answered.

    Example: `sequela serve gru.onnx`, or `sequela serve runs/gru-improved --port 8080`

    Args:
        model: FILE.onnx, as sequela export writes it, or a run folder.
        host: Address to listen at; 0.0.0.0 for all of this machine.
        port: Port to listen at; 0 for any that is free.
        token: Ask for an access token: that of the variable SEQUELA_TOKEN, else a new one, which is
            printed (default: only where other machines can reach the server).
        batch: Examples that the model is asked about at a time; 1 for one example after the other.
        threads: Threads of the model.
        most_bytes: Refuse larger bodies.
        most_examples: Refuse bodies of more examples.
        most_length: Refuse segments of more samples, and patients of more visits.
        timeout: Seconds until a request is given up.
        rate: Requests a second that one client may send; 0 for any number.
        trust_code: Let the run's model be code, a class of a file or module: it is imported.
    """
    from contextlib import suppress
    from os import environ

    try:
        from sequela.serving.served import load
        from sequela.serving.web.guards import Limits
        from sequela.serving.web.server import Place, token_of
        from sequela.serving.web.server import serve as serve_model
    except ModuleNotFoundError as error:
        if error.name not in _LIBRARIES:
            raise
        raise MissingExtraError.of("serve", "a server") from error

    place = Place(host, port)
    limits = Limits.of(
        bytes=most_bytes,
        examples=most_examples,
        length=most_length,
        seconds=timeout,
        rate=rate,
    )
    wanted = not place.local if token is None else token
    asked = token_of(environ.get("SEQUELA_TOKEN") if wanted else None, wanted=wanted)
    served = load(model, threads=threads, trust_code=trust_code)

    def ready(address: str) -> None:
        print(f"{served.about['title']}, {served.about['question']}", flush=True)
        print(f"page: {address}", flush=True)
        if asked and not environ.get("SEQUELA_TOKEN"):
            print(f"access token: {asked}", flush=True)
        if place.local:
            print("only this machine reaches it (--host)", flush=True)
        else:
            who = "who has the token" if asked else "everybody there, for there is no token"
            print(f"other machines reach it: {who}. Put TLS before it.", flush=True)

    with suppress(KeyboardInterrupt):  # how a person stops it
        serve_model(served, place, limits=limits, token=asked, batch=batch, on_ready=ready)
    print("stopped", flush=True)
