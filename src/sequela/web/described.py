"""The OpenAPI description of each path: the template ``openapi.json.template``, filled in."""

import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from sequela.serving.served import ServedModel
from sequela.web.bodies import JSON
from sequela.web.patients import Patient
from sequela.web.problems import PROBLEM

Described = dict[str, Any]
_TEMPLATE = Template(files("sequela.web").joinpath("openapi.json.template").read_text("utf-8"))
_OF_GET = ("401", "421", "503")
"""The problems of a request without a body."""


def described(
    model: ServedModel, kinds: Sequence[str], *, secured: bool
) -> tuple[str, dict[str, Described]]:
    """Return the description of the application, and the arguments of each route by path."""
    patient = Patient.model_json_schema()
    patient["properties"]["visits"]["items"] = patient.pop("$defs")["Visit"]
    takes = model.facts.takes
    filled = _TEMPLATE.substitute(
        sfreq=getattr(takes, "sfreq", 0),
        classes=json.dumps(model.classes),
        patient=json.dumps(patient),
    )
    said: Described = json.loads(filled)
    bodies = {JSON: said[model.facts.kind], **said["bodies"]}
    body = {"required": True, "content": {kind: {"schema": bodies[kind]} for kind in kinds}}
    found = {}
    for path, route in said["paths"].items():
        posted = "parameters" in route
        names = [*takes.query, *route.get("parameters", ())]
        extra: Described = {}
        if posted:
            extra["requestBody"] = body
            extra["parameters"] = [
                {"name": name, "in": "query", "required": False, **said["parameters"][name]}
                for name in names
            ]
        if secured and path != "/health":
            extra["security"] = [{"bearer": []}]
        content = {kind: {"schema": said["answers"][of]} for kind, of in route["content"].items()}
        what = "The result" if posted else route["summary"]
        responses = {200: {"description": what, "content": content}} | {
            int(code): {"description": text, "content": {PROBLEM: {"schema": said["problem"]}}}
            for code, text in said["problems"].items()
            if posted or code in _OF_GET
        }
        found[path] = {"summary": route["summary"], "responses": responses, "openapi_extra": extra}
    return said["description"], found
