"""PostgreSQL and Redis, over the network and with the passwords that users get."""

from __future__ import annotations

import secrets

from ..check import check, service
from ..environment import Endpoint, Environment
from ..outcome import CheckFailed, Outcome, passed
from ..processes import Finished
from ..protocols.connection import WRONG_CERTIFICATE, reach

_POSTGRES_VERSION = 17
_EXTENSIONS = ("postgis", "vector")

# Everything happens in a transaction that is rolled back. Where the user has the extension already, it stays
# where it is, and the search path follows it. That carbon, who is no superuser, may create them, and that PostGIS's
# library finds all of its own, is part of the promise.
_QUERIES = """
SELECT 'version=' || current_setting('server_version_num');
SELECT name || '=' || default_version FROM pg_available_extensions WHERE name IN ('postgis', 'vector');
BEGIN;
CREATE SCHEMA {schema};
CREATE EXTENSION IF NOT EXISTS postgis SCHEMA {schema};
CREATE EXTENSION IF NOT EXISTS vector SCHEMA {schema};
SELECT 'schema=' || set_config('search_path', extnamespace::regnamespace::text, true)
    FROM pg_extension WHERE extname = 'vector';
SELECT 'distance=' || ('[1,2,3]'::vector <-> '[4,6,3]'::vector);
ROLLBACK;
"""
_DISTANCE = "5"

_ERROR = "(error)"
"""How redis-cli marks an answer that is one."""


@check(
    "postgres",
    expected="PostgreSQL 17 with vector and postgis; a wrong password is refused",
    hint="docker logs {postgres}",
    needs=(service("postgres"),),
)
def postgres(env: Environment) -> Outcome:
    """PostgreSQL takes its password and no other, and measures distances between vectors.

    Expected: version 17 and both extensions, as Debian 13 packages them; the distance of (1,2,3) and (4,6,3)
    is 5, by Pythagoras. With TLS on, a connection without it is refused.
    """
    answer = _psql(
        env, env.secret("postgres"), _QUERIES.format(schema=f"carbon_verify_{secrets.token_hex(8)}")
    )
    if answer.code != 0:
        # libpq's words for another certificate, and for one of another name.
        untrusted = "certificate verify failed" in answer.stderr or "does not match host name" in answer.stderr
        raise CheckFailed(f"psql failed: {answer.complaint}", WRONG_CERTIFICATE if untrusted else "")
    seen = dict(line.partition("=")[::2] for line in answer.stdout.splitlines() if "=" in line)
    version = int(seen.get("version", "0")) // 10_000
    missing = [name for name in _EXTENSIONS if name not in seen]
    if version != _POSTGRES_VERSION or missing or seen.get("distance") != _DISTANCE:
        lacks = f", without {' and '.join(missing)}" if missing else ""
        raise CheckFailed(
            f"PostgreSQL {version}{lacks}, vector distance {seen.get('distance')} for {_DISTANCE}"
        )
    _expect_refusal(
        _psql(env, secrets.token_hex(12), ""), "password authentication failed", "a wrong password"
    )
    tls = env.endpoint("postgres", "postgres").tls
    if tls:
        _expect_refusal(
            _psql(env, env.secret("postgres"), "", tls=False), "no encryption", "a session without TLS"
        )
    extensions = " and ".join(f"{name} {seen[name]}" for name in reversed(_EXTENSIONS))
    return passed(f"PostgreSQL {version}, {extensions}, vector distance right, wrong password refused{tls}")


@check(
    "redis",
    expected="a key set, read and deleted; a wrong password is refused",
    hint="docker logs {redis}",
    needs=(service("redis"),),
)
def redis(env: Environment) -> Outcome:
    """Redis takes its password and no other, and keeps what it is given.

    Expected: the errors and answers that Redis documents for AUTH, SET, GET and DEL (redis.io/docs/latest/
    commands). The key has a random name and lives for 30 seconds at most.
    """
    endpoint = env.endpoint("redis", "redis")
    reach(endpoint)
    key, value = f"carbon-verify:{secrets.token_hex(8)}", secrets.token_hex(8)
    password, wrong = env.secret("redis"), secrets.token_hex(12)
    # Sent one after the other whatever the answers are, so that the key goes in any case.
    steps = (
        ("PING", f"{_ERROR} NOAUTH", "no password"),
        (f"AUTH {wrong}", f"{_ERROR} WRONGPASS", "a wrong password"),
        (f"AUTH {password}", "OK", ""),
        ("PING", "PONG", ""),
        (f"SET {key} {value} EX 30 NX", "OK", ""),
        (f"GET {key}", f'"{value}"', ""),
        (f"DEL {key}", "(integer) 1", ""),
        ("INFO server", "# Server", ""),
    )
    answers = _redis_cli(env, endpoint, [command for command, _, _ in steps])
    for (command, expected, refused), answer in zip(steps, answers):
        if answer.startswith(expected):
            continue
        if not refused:
            raise CheckFailed(f"{command.split()[0]} answers {answer}")
        if not answer.startswith(_ERROR):
            raise CheckFailed(f"Redis lets {refused} in")
        raise CheckFailed(f"Redis refuses {refused}, but for another reason: {answer}")
    version = next((line.partition(":")[2] for line in answers if line.startswith("redis_version:")), "?")
    return passed(f"Redis {version}, key set, read and deleted, wrong password refused{endpoint.tls}")


def _psql(env: Environment, password: str, sql: str, *, tls: bool = True) -> Finished:
    """Runs SQL over the network. `tls`: as the stack has it; otherwise never."""
    endpoint = env.endpoint("postgres", "postgres")
    return env.run(
        *("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"),
        *("--set=ON_ERROR_STOP=1", "--file=-"),
        stdin=sql or "SELECT 1;",
        PGHOST=endpoint.host,
        PGPORT=str(endpoint.port),
        PGUSER="carbon",
        PGDATABASE="carbon",
        # In the environment, which its own user and root alone can read; an argument could be read by all.
        PGPASSWORD=password,
        PGSSLMODE="verify-full" if endpoint.certificate and tls else "disable",
        PGSSLROOTCERT=str(endpoint.certificate or ""),
        PGCONNECT_TIMEOUT="10",
        LC_ALL="C",
    )


def _expect_refusal(answer: Finished, reason: str, what: str) -> None:
    if answer.code == 0:
        raise CheckFailed(f"PostgreSQL lets {what} in")
    if reason not in answer.stderr:
        raise CheckFailed(f"PostgreSQL refuses {what}, but for another reason: {answer.complaint}")


def _redis_cli(env: Environment, endpoint: Endpoint, commands: list[str]) -> list[str]:
    """What Redis answers: a line for each command, many for INFO. They go through a pipe, as some hold a password."""
    finished = env.run(
        # Not the wrapper in front of it, which logs in by itself.
        *(str(env.path("/usr/bin/redis-cli")), "--no-raw", "-h", endpoint.host, "-p", str(endpoint.port)),
        *(("--tls", "--cacert", str(endpoint.certificate)) if endpoint.certificate else ()),
        stdin="".join(f"{command}\n" for command in commands),
    )
    answers = finished.stdout.splitlines()
    if len(answers) < len(commands):
        raise CheckFailed(f"redis-cli failed: {finished.complaint}")
    return answers
