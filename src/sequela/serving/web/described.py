"""The OpenAPI description of each path."""

from collections.abc import Sequence
from typing import Any

from sequela.serving.served import ServedModel
from sequela.serving.web.bodies import BINARY, CSV, EDF, JSON, PARQUET
from sequela.serving.web.patients import Patient
from sequela.serving.web.problems import PROBLEM

DESCRIPTION = (
    "Predictions of one model. Data that are sent are not stored. Errors are problem documents "
    "(RFC 9457). The model is for research and is not a medical device."
)
_PROBLEMS = {
    "400": "The body cannot be read",
    "401": "The access token is missing or wrong",
    "413": "The body is too large",
    "415": "The media type is not supported",
    "421": "The host name is wrong",
    "422": "The body does not fit the model",
    "429": "Too many requests",
    "503": "The server is busy, or the request timed out",
}
_STRINGS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}


def described(
    model: ServedModel, kinds: Sequence[str], *, secured: bool
) -> dict[str, dict[str, Any]]:
    """Return the arguments of each route, by path.

    Args:
        model: The model.
        kinds: Supported media types.
        secured: Whether a token is required.
    """
    body = {"required": True, "content": {kind: {"schema": _body(model, kind)} for kind in kinds}}
    parameters = [] if model.about["kind"] == "records" else [_sfreq(model), _unit()]
    more = {
        "/v1/explain": [
            _query("example", {"type": "integer", "minimum": 0}, "Number of the example, from 0"),
            _query("class", {"type": "string", "enum": list(model.classes)}, "Class to explain"),
        ]
    }
    summaries = {
        "/v1/predict": "Probabilities of examples",
        "/v1/explain": "Contributions to the prediction for one example",
        "/v1/view": "Examples as the page draws them, with their probabilities",
    }
    found: dict[str, dict[str, Any]] = {
        path: {
            "summary": summary,
            "responses": {200: _answer(path), **_problems(post=True)},
            "openapi_extra": {
                "requestBody": body,
                "parameters": [*parameters, *more.get(path, [])],
            },
        }
        for path, summary in summaries.items()
    }
    found |= {
        "/v1/model": _got("The model's card, calibration and checksums"),
        "/health": _got("State of the server"),
        "/metrics": _got("Counts for Prometheus", "text/plain"),
    }
    for path, each in found.items():
        extra = each.setdefault("openapi_extra", {})
        if secured and path != "/health":
            extra["security"] = [{"bearer": []}]
    return found


def _got(summary: str, kind: str = JSON) -> dict[str, Any]:
    schema = {"type": "string"} if kind != JSON else {"type": "object"}
    answer = {"description": summary, "content": {kind: {"schema": schema}}}
    return {"summary": summary, "responses": {200: answer, **_problems(post=False)}}


def _problems(*, post: bool) -> dict[int | str, Any]:
    schema = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }
    kept = _PROBLEMS if post else {code: _PROBLEMS[code] for code in ("401", "421", "503")}
    return {
        int(code): {"description": said, "content": {PROBLEM: {"schema": schema}}}
        for code, said in kept.items()
    }


def _answer(path: str) -> dict[str, Any]:
    """Return the schema of the response of a path."""
    prediction = {
        "type": "object",
        "required": ["id", "prediction", "probabilities", "set"],
        "properties": {
            "id": {"type": "string"},
            "prediction": {"type": "string", "description": "The most probable class"},
            "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
            "set": {**_STRINGS, "description": "Conformal prediction set"},
            "unknown_codes": _STRINGS,
        },
    }
    explained = {"id", "class", "probability", "method", "parts"}
    required = ["predictions"] if path != "/v1/explain" else sorted(explained)
    schema: dict[str, Any] = {"type": "object", "required": required}
    if path != "/v1/explain":
        schema["properties"] = {"predictions": {"type": "array", "items": prediction}}
    content = {JSON: {"schema": schema}}
    if path == "/v1/predict":
        content[PARQUET] = {"schema": {"type": "string", "format": "binary"}}
    return {"description": "The result", "content": content}


def _query(name: str, schema: dict[str, Any], said: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": said}


def _sfreq(model: ServedModel) -> dict[str, Any]:
    said = f"Samples per second, if the body lacks it: {model.about['signal']['sfreq']}"
    return _query("sfreq", {"type": "number"}, said)


def _unit() -> dict[str, Any]:
    return _query("unit", {"type": "string", "example": "uV"}, "Unit, if the body lacks it")


def _body(model: ServedModel, kind: str) -> dict[str, Any]:
    """Return the schema of a body."""
    if kind == BINARY:
        said = "float32, little-endian: example after example, channel after channel"
        return {"type": "string", "format": "binary", "description": said}
    if kind in (PARQUET, CSV, EDF):
        said = {
            PARQUET: "signal: a list of numbers per row, or rows of subject_id, time, code",
            CSV: "a column per channel, or rows of time and code",
            EDF: "EDF, EDF+C or BDF",
        }[kind]
        return {"type": "string", "format": "binary", "description": said}
    if model.about["kind"] == "records":
        patient = Patient.model_json_schema()
        visit = patient.pop("$defs")["Visit"]
        patient["properties"]["visits"]["items"] = visit
        several = {"type": "array", "items": patient, "minItems": 1}
        both = {"type": "object", "required": ["patients"], "properties": {"patients": several}}
        return {"oneOf": [patient, both]}
    signal = model.about["signal"]
    one = {"oneOf": [_NUMBERS, {"type": "array", "items": _NUMBERS, "minItems": 1}]}
    units = {
        "sfreq": {"type": "number", "example": signal["sfreq"]},
        "unit": {"type": "string", "example": "uV"},
    }
    example: dict[str, Any] = {
        "type": "object",
        "required": ["signal"],
        "properties": {"signal": one, "id": {"type": "string"}},
    }
    examples = {"type": "array", "items": example, "minItems": 1}
    return {
        "oneOf": [
            {
                **example,
                "required": ["signal", *units],
                "properties": {**example["properties"], **units},
            },
            {
                "type": "object",
                "required": ["examples", *units],
                "properties": {"examples": examples, **units},
            },
        ]
    }
