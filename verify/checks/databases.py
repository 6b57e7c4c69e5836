"""PostgreSQL and Redis, over the network and with the passwords that users get."""

from __future__ import annotations

import secrets
import socket

from ..check import CheckFailed, Outcome, check, passed, service
from ..environment import Environment
from ..processes import Finished
from ..protocols.connection import WRONG_CERTIFICATE, connect
from ..protocols.resp import Answer, RedisError, command

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
    if env.tls:
        _expect_refusal(
            _psql(env, env.secret("postgres"), "", tls=False), "no encryption", "a session without TLS"
        )
    extensions = " and ".join(f"{name} {seen[name]}" for name in reversed(_EXTENSIONS))
    tls = "; TLS, certificate verified" if env.tls else ""
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
    with connect(env.endpoints["redis"], tls=env.tls) as connection:
        _expect_error(command(connection, "PING"), "NOAUTH", "no password")
        _expect_error(command(connection, "AUTH", secrets.token_hex(12)), "WRONGPASS", "a wrong password")
        _expect(command(connection, "AUTH", env.secret("redis")), "OK", "AUTH with the right password")
        _expect(command(connection, "PING"), "PONG", "PING")
        _round_trip(connection)
        version = _redis_version(command(connection, "INFO", "server"))
    tls = "; TLS, certificate verified" if env.tls else ""
    return passed(f"Redis {version}, key set, read and deleted, wrong password refused{tls}")


def _psql(env: Environment, password: str, sql: str, *, tls: bool = True) -> Finished:
    """Runs SQL over the network. `tls`: as the stack has it; otherwise never."""
    endpoint = env.endpoints["postgres"]
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
        PGSSLMODE="verify-full" if env.tls and tls else "disable",
        PGSSLROOTCERT=str(endpoint.certificate or ""),
        PGCONNECT_TIMEOUT="10",
        LC_ALL="C",
    )


def _expect_refusal(answer: Finished, reason: str, what: str) -> None:
    if answer.code == 0:
        raise CheckFailed(f"PostgreSQL lets {what} in")
    if reason not in answer.stderr:
        raise CheckFailed(f"PostgreSQL refuses {what}, but for another reason: {answer.complaint}")


def _round_trip(connection: socket.socket) -> None:
    key, value = f"carbon-verify:{secrets.token_hex(8)}", secrets.token_hex(8)
    _expect(command(connection, "SET", key, value, "EX", "30", "NX"), "OK", "SET")
    try:
        _expect(command(connection, "GET", key), value, "GET")
    finally:
        deleted = command(connection, "DEL", key)
    _expect(deleted, 1, "DEL")


def _expect(answer: Answer, wanted: Answer, what: str) -> None:
    if isinstance(answer, RedisError) or answer != wanted:
        raise CheckFailed(f"{what} answers {answer!r}")


def _expect_error(answer: Answer, code: str, what: str) -> None:
    if not isinstance(answer, RedisError):
        raise CheckFailed(f"Redis lets {what} in")
    if not answer.startswith(code):
        raise CheckFailed(f"Redis refuses {what}, but for another reason: {answer}")


def _redis_version(info: Answer) -> str:
    lines = str(info).splitlines()
    return next((line.partition(":")[2] for line in lines if line.startswith("redis_version:")), "?")
