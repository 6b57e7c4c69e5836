"""Run in the workspace: measures how fast LLM servers answer, and prints the report as one line of JSON.

The arguments are addresses that end in the API's path. The key is the one that the workspace's programs use.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KEY = Path("/run/carbon/user/llm")
LIMIT = 240.0
"""Seconds for one answer; a large model is loaded first."""
TOKENS = 64
QUESTION = "Count from one to one hundred, in words."


def ask(url: str, body: Any = None) -> Any:
    """What the API answers."""
    headers = {"Content-Type": "application/json"}
    if KEY.exists():
        headers["Authorization"] = f"Bearer {KEY.read_text(encoding='utf-8').strip()}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=LIMIT) as answer:
        return json.load(answer)


def measure(address: str) -> dict[str, Any]:
    """Tokens and seconds of an answer, after a short one that does not count: it may load the model."""
    model = ask(f"{address}/models")["data"][0]["id"]

    def complete(tokens: int) -> int:
        messages = [{"role": "user", "content": QUESTION}]
        asked = {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0}
        return int(ask(f"{address}/chat/completions", asked)["usage"]["completion_tokens"])

    complete(1)
    started = time.perf_counter()
    tokens = complete(TOKENS)
    return {"model": str(model), "tokens": tokens, "seconds": time.perf_counter() - started}


def attempt(address: str) -> dict[str, Any]:
    """The same, or why not."""
    try:
        return {"address": address, **measure(address)}
    except urllib.error.HTTPError as error:
        return {"address": address, "error": f"answers {error.code}"}
    except (OSError, ValueError, LookupError, TypeError) as error:
        return {"address": address, "error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    print(json.dumps([attempt(address) for address in sys.argv[1:]]))
