"""Bodies and responses as pydantic models, and their description for FastAPI's OpenAPI document."""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
)
from pydantic.config import JsonDict
from pydantic.json_schema import WithJsonSchema, models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sequela.datasets.catalog import Modality
from sequela.errors import DataError, without_passwords
from sequela.serving.served_model import ServedModel

if TYPE_CHECKING:
    from fastapi import FastAPI

T = TypeVar("T")
Described = dict[str, Any]
JSON = "application/json"
BINARY = "application/octet-stream"
CSV = "text/csv"
EDF = "application/edf"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_TIME: JsonDict = {"pattern": f"^{TIME}$"}
_REAL = {int, float}
_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_ARRAY = {"oneOf": [_NUMBERS, {"type": "array", "items": _NUMBERS, "minItems": 1}]}
PROBLEM = "application/problem+json"
FAILED = "internal server error: see the log of the server"
# Sentences in place of starlette's.
_SENTENCES = {
    "Not Found": "unknown path: see /openapi.json",
    "Method Not Allowed": "this path has another method: see /openapi.json",
}


class Refusal(HTTPException):
    """A refused request."""


def document(status: int, detail: str) -> bytes:
    """Return the body of a problem document (RFC 9457): the status and a sentence."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return without_passwords(json.dumps(problem, ensure_ascii=False)).encode()


def response_of(error: HTTPException) -> Response:
    """Return the response to a refused request."""
    detail = _SENTENCES.get(error.detail, error.detail)
    body = document(error.status_code, detail)
    return Response(body, error.status_code, error.headers, media_type=PROBLEM)


def array_of(value: object) -> NDArray[np.float32]:
    """Convert nested lists to float32 (channel, sample)."""
    rows = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    # Checked before numpy, which gives each text of a list as much room as the longest.
    if not all(isinstance(row, list) and row and set(map(type, row)) <= _REAL for row in rows):
        raise DataError("a signal is not a list of numbers or of channels: expected one")
    if len(set(map(len, rows))) > 1:
        raise DataError("a signal has channels of several lengths: expected one")
    array = np.array(rows, np.float64)
    if not np.all(np.abs(array) <= np.finfo(np.float32).max):  # NaN is not either
        raise DataError("a signal has a number beyond 3.4e38 or NaN: send µV")
    return array.astype(np.float32)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Named(_Body):
    """A signal, and its name: a text or a whole number."""

    signal: Annotated[NDArray[np.float32], BeforeValidator(array_of), WithJsonSchema(_ARRAY)]
    id: str | StrictInt = ""


class _Measured(_Body):
    """Samples per second, and the unit such as uV; both may be in the address instead."""

    sfreq: StrictFloat | StrictInt | None = None
    unit: str | None = None


class Segment(_Measured, Named):
    """One segment."""


class Segments(_Measured):
    """Several segments."""

    examples: list[Named] = Field(min_length=1)


class Visit(_Body):
    """The information that became available at one time."""

    time: str = Field(
        description="Time of the visit, such as 2020-01-31 or 2020-01-31T12:00, without a zone.",
        json_schema_extra=_TIME,
    )
    codes: list[str] = Field(default=[], description="Codes, such as ICD9CM//4280.")
    values: dict[str, float] = Field(default={}, description="Measurements by their code.")


class Patient(_Body):
    """The record of a patient, as far as it is available at prediction time."""

    id: str = Field(default="", description="Any name; it is returned with the prediction.")
    time: str | None = Field(
        default=None,
        description="Time of the prediction (default: time of the last visit).",
        json_schema_extra=_TIME,
    )
    age: float | None = Field(default=None, ge=0, le=130, description="Age in years at that time.")
    static: list[str] = Field(default=[], description="Codes without a time, such as a sex.")
    visits: list[Visit] = Field(min_length=1)


class Patients(_Body):
    """Several patients."""

    patients: list[Patient] = Field(min_length=1)


class Mean(BaseModel):
    """The mean over the segments of a recording."""

    prediction: str
    probabilities: dict[str, float]


class Prediction(BaseModel):
    """The prediction for one example."""

    id: str
    prediction: str = Field(description="The most probable class.")
    probabilities: dict[str, float]
    set: list[str] = Field(description="Conformal prediction set.")
    unknown_codes: list[str] = Field(default=[], description="Codes outside the vocabulary.")
    risk: dict[str, float] = Field(default={}, description="Risk of the event by each day.")


class Predictions(BaseModel):
    """Predictions; of ``/v1/view`` also the signals, in µV, or the patients."""

    classes: list[str] = []
    promised: float = Field(default=0, description="Share of sets that contain the true class.")
    model: str = Field(default="", description="SHA-256 of the run.")
    notes: list[str]
    recording: Mean | None = None
    predictions: list[Prediction]
    sfreq: float = 0
    n_times: int = 0
    channels: list[dict[str, list[float]]] = []
    patients: list[Patient] = []


def validated(check: Callable[[object], T], value: object, name: str) -> T:
    """Check a JSON value by pydantic; the error shows no value of the body."""
    try:
        return check(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join([name, ".".join(map(str, first["loc"]))]).strip()
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{place}: {message}; see /openapi.json") from error


_PROBLEMS = {
    400: "The body cannot be read",
    401: "The access token is missing or wrong",
    413: "The body is too large",
    415: "The media type is not supported",
    421: "The host name is wrong",
    422: "The body does not fit the model",
    503: "The server is busy, or the request timed out",
}
_PROBLEM = {"type": "object", "required": ["type", "title", "status", "detail"]}
# The responses that every path may give.
PROBLEMS: dict[int | str, Described] = {
    code: {"description": text, "content": {PROBLEM: {"schema": _PROBLEM}}}
    for code, text in _PROBLEMS.items()
}
OBJECT = {"type": "object"}
BYTES = {"type": "string", "format": "binary"}
_BODIES = {
    BINARY: "float32, little-endian: example after example, channel after channel",
    CSV: "a column per channel, or a row per patient",
    EDF: "EDF, EDF+C or BDF",
}
_IN_JSON: dict[str, tuple[type[BaseModel], ...]] = {
    Modality.EEG: (Segment, Segments),
    Modality.RECORDS: (Patient, Patients),
}


def _place(kind: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


PREDICTIONS = _place(Predictions)


def described(summary: str, answers: Mapping[str, object]) -> Described:
    """Return the arguments of a route: its summary, and the schema of each kind of response."""
    content = {kind: {"schema": schema} for kind, schema in answers.items()}
    response = {"description": "The result", "content": content}
    return {"summary": summary, "response_model": None, "responses": {200: response}}


def posted(model: ServedModel, kinds: Iterable[str]) -> Described:
    """Return the arguments of a route with a body and parameters."""
    schemas = {
        "sfreq": {"type": "number", "description": "Samples per second, if the body lacks it"},
        "unit": {"type": "string", "description": "Unit, if the body lacks it"},
    }
    bodies: Described = {kind: {**BYTES, "description": text} for kind, text in _BODIES.items()}
    bodies[JSON] = {"oneOf": [_place(kind) for kind in _IN_JSON[model.facts.kind]]}
    content = {kind: {"schema": bodies[kind]} for kind in kinds}
    extra = {
        "requestBody": {"required": True, "content": content},
        "parameters": [
            {"name": name, "in": "query", "schema": schemas[name]}
            for name in model.facts.takes.query
        ],
    }
    return {"methods": ["POST"], "openapi_extra": extra}


def add_schemas(app: "FastAPI", model: ServedModel) -> None:
    """Add the models of bodies and predictions to the OpenAPI document."""
    kinds: list[type[BaseModel]] = [Predictions, *_IN_JSON[model.facts.kind]]
    _, schemas = models_json_schema(
        [(kind, "validation") for kind in kinds], ref_template="#/components/schemas/{model}"
    )
    app.openapi().setdefault("components", {})["schemas"] = schemas["$defs"]
