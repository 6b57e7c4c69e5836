"""Asks MongoDB with no password, a wrong one and the right one; prints what it said as JSON.

stdin: JSON with host, port, passwords (`wrong`, `right`), a collection's name and a value for it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

TIMEOUT_MS = 10_000


def refusal(client: MongoClient) -> dict[str, Any] | None:
    """How a command that needs a login is refused; None where it is carried out."""
    try:
        client.list_database_names()
    except OperationFailure as error:
        return {"code": error.code, "message": str(error).partition(", full error")[0]}
    return None


def main() -> dict[str, Any]:
    """The report: refusals by login, the values found after one was inserted, the server's version."""
    asked = json.load(sys.stdin)
    address = {"host": asked["host"], "port": asked["port"], "directConnection": True}
    clients = {"none": MongoClient(**address, serverSelectionTimeoutMS=TIMEOUT_MS)}
    for name, password in asked["passwords"].items():
        login = {"username": "carbon", "password": password, "authMechanism": "SCRAM-SHA-256"}
        clients[name] = MongoClient(**address, **login, serverSelectionTimeoutMS=TIMEOUT_MS)
    report: dict[str, Any] = {"refusals": {name: refusal(client) for name, client in clients.items()}}
    if not report["refusals"]["right"]:
        collection = clients["right"]["carbon_verify"][asked["collection"]]
        collection.insert_one({"_id": 1, "value": asked["value"]})
        try:
            report["found"] = [document.get("value") for document in collection.find({"_id": 1})]
        finally:
            collection.drop()
        report["version"] = clients["right"].server_info()["version"]
    return report


if __name__ == "__main__":
    try:
        print(json.dumps(main()))
    except PyMongoError as error:
        # Without the long description of what it knows of the server.
        sys.exit(str(error).partition(", Timeout:")[0])
