"""``sequela serve``: an HTTP server for a model, with a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sequela.cli.names import TrustCode
from sequela.errors import extra

Count = Annotated[int, Parameter(validator=Number(gte=1))]


def serve(
    model: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8000,
    token: Annotated[bool | None, Parameter(negative="--no-token")] = None,
    batch: Count = 128,
    threads: Count = 1,
    most_bytes: Count = 32_000_000,
    most_examples: Count = 10_000,
    most_length: Count = 1_000_000,
    timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 30.0,
    trust_code: TrustCode = False,
) -> None:
    """Serve a model over HTTP, with an interface for programs and a page for people.

    The page at / takes a file and shows the signal or the visits, the probabilities with their
    conformal set, and the model's card. Programs use /v1/predict; see /openapi.json. Data that are
    sent are neither stored nor passed on. The server is reachable only from this machine unless
    --host is set, so that records of patients are not offered to a network by accident. Needs the
    extra `serve`. Press Ctrl-C to stop; open requests are finished.

    Example: `sequela serve gru.onnx`, or `sequela serve runs/gru-improved --port 8080`

    Args:
        model: FILE.onnx, as sequela export writes it, or a run folder.
        host: Address to listen on; 0.0.0.0 for all addresses of this machine.
        port: Port to listen on; 0 for any free port.
        token: Require an access token: the variable SEQUELA_TOKEN, else a new token, which is
            printed (default: only if other machines can reach the server).
        batch: Most examples of a batch; 1 for single examples.
        threads: Threads of the model.
        most_bytes: Refuse larger bodies.
        most_examples: Refuse bodies with more examples.
        most_length: Refuse segments with more samples, and patients with more visits.
        timeout: Seconds until a request times out.
    """
    from contextlib import suppress
    from os import environ

    with extra("serve", "a server", "fastapi", "starlette", "uvicorn"):
        from sequela.serving import load
        from sequela.web.guards import Limits
        from sequela.web.server import Address, token_of
        from sequela.web.server import serve as serve_model

    address = Address(host, port)
    limits = Limits(bytes=most_bytes, examples=most_examples, length=most_length, seconds=timeout)
    # On this machine only its users can connect; from elsewhere anybody in the network could.
    needs_token = not address.local if token is None else token
    # From a variable, not an option: other users see the arguments of all processes.
    access_token = token_of(
        environ.get("SEQUELA_TOKEN") if needs_token else None, required=needs_token
    )
    served = load(model, threads=threads, trust_code=trust_code)

    def ready(url: str) -> None:
        print(f"{served.about['title']}, {served.about['question']}", flush=True)
        print(f"page: {url}", flush=True)
        if access_token and not environ.get("SEQUELA_TOKEN"):
            print(f"access token: {access_token}", flush=True)
        if address.local:
            print("reachable from this machine only (see --host)", flush=True)
        else:
            who = "with the token" if access_token else "without a token"
            print(f"reachable from other machines {who}; put a TLS proxy in front", flush=True)

    with suppress(KeyboardInterrupt):  # Ctrl-C stops the server
        serve_model(served, address, limits=limits, token=access_token, batch=batch, on_ready=ready)
    print("stopped", flush=True)
