#!/usr/bin/env python3
"""Shrinks an OpenAPI description of Microsoft Graph v1.0 to what the simulator checks.

    shrink.py < graph-v1-subset.openapi.json > graph-v1.openapi.json

Takes out prose (descriptions, summaries, titles, tags), ids and role lists that nothing here reads, and
the error responses that are the same for every operation. Paths, methods, parameters, statuses and
schemas stay as they are. One path or schema per line, sorted, so that a newer version can be compared.
"""
import json
import sys

PROSE = {"description", "summary", "title", "tags", "operationId", "servers", "security", "headers",
         "x-application-permissions", "x-csdl-checked", "x-odata-discriminator", "writeOnly"}
ERRORS = {"default", "400", "401", "410", "429", "503"}


def shrunk(node, names=False):
    """`names`: the keys of this object are names of properties, not words of OpenAPI."""
    if isinstance(node, list):
        return [shrunk(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {key: shrunk(value, names=not names and key in ("properties", "schemas", "parameters", "paths"))
            for key, value in node.items() if names or key not in PROSE}


def lines(members):
    return ",\n".join(f"{json.dumps(key)}:{json.dumps(members[key], separators=(',', ':'))}"
                      for key in sorted(members))


whole = json.load(sys.stdin)
paths = shrunk(whole["paths"], names=True)
for path in paths.values():
    for method, operation in path.items():
        if method != "parameters":
            responses = operation["responses"]
            operation["responses"] = {status: responses[status] for status in responses if status not in ERRORS}
parts = whole["components"]
info = {"title": whole["info"]["title"], "version": whole["info"]["version"],
        "license": whole["info"]["license"], "x-source": whole["info"]["description"].split(" with ")[0]}
print('{"openapi":"3.0.3",\n"info":' + json.dumps(info) + ',\n"paths":{\n' + lines(paths)
      + '\n},\n"components":{"parameters":{\n' + lines(shrunk(parts["parameters"], names=True))
      + '\n},\n"schemas":{\n' + lines(shrunk(parts["schemas"], names=True)) + "\n}}}")
