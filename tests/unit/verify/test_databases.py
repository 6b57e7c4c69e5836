from __future__ import annotations

import contextlib
import io
import json
import socket

from verify.checks import CHECKS
from verify.checks.databases import postgres, redis
from verify.cli import main

from .fakes import SECRETS, ServerTls, WorkspaceTestCase, reply, self_signed

GOOD_ANSWER = "version=170006\nvector=0.8.0\npostgis=3.5.2\nschema=carbon_verify\ndistance=5\n"
WRONG_PASSWORD = 'psql: error: FATAL:  password authentication failed for user "carbon"'
NO_TLS = 'psql: error: FATAL:  no pg_hba.conf entry for host "172.18.0.3", user "carbon", no encryption'


class Postgres(WorkspaceTestCase):
    def serve(
        self, *, answer: str = GOOD_ANSWER, password: str = SECRETS["postgres"], hostssl: bool = False
    ) -> None:
        """A psql that knows one password, and notes how it was called."""
        refuse = f"{{ echo '{WRONG_PASSWORD}' >&2; exit 2; }}"
        body = [
            f'echo "$@" >>{self.root}/argv; cat >>{self.root}/stdin',
            f'test "$PGPASSWORD" = {password} || {refuse}',
        ]
        if hostssl:
            body.append(f"test \"$PGSSLMODE\" = verify-full || {{ echo '{NO_TLS}' >&2; exit 2; }}")
        self.program("psql", prints=answer, body="\n".join(body))

    def test_passes_with_version_extensions_and_distance(self) -> None:
        self.serve()
        self.assertResult(self.run_check(postgres), "PASS", "PostgreSQL 17, vector 0.8.0 and postgis 3.5.2")

    def test_fails_on_another_version_a_missing_extension_and_a_wrong_distance(self) -> None:
        for line, changed, observed in (
            ("version=170006", "version=160004", "PostgreSQL 16"),
            ("postgis=3.5.2\n", "", "without postgis"),
            ("vector=0.8.0\npostgis=3.5.2\n", "", "without postgis and vector"),
            ("distance=5", "distance=7", "vector distance 7 for 5"),
        ):
            with self.subTest(changed):
                self.serve(answer=GOOD_ANSWER.replace(line, changed))
                self.assertResult(self.run_check(postgres), "FAIL", observed)

    def test_fails_where_any_password_is_taken(self) -> None:
        self.program("psql", prints=GOOD_ANSWER)
        self.assertResult(self.run_check(postgres), "FAIL", "lets a wrong password in")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(postgres), "FAIL", "psql failed", "password authentication failed")

    def test_fails_where_the_wrong_password_is_refused_for_another_reason(self) -> None:
        count = self.root / "count"
        once = f"test ! -e {count} || {{ echo 'FATAL: too many clients' >&2; exit 2; }}; touch {count}"
        self.program("psql", prints=GOOD_ANSWER, body=once)
        self.assertResult(
            self.run_check(postgres), "FAIL", "for another reason: exit code 2: FATAL: too many clients"
        )

    def test_with_tls_on_a_session_without_it_has_to_be_refused(self) -> None:
        self.stack("postgres", "redis", tls=True)
        self.serve(hostssl=True)
        self.assertResult(self.run_check(postgres), "PASS", "TLS, certificate verified")
        self.serve()
        self.assertResult(self.run_check(postgres), "FAIL", "lets a session without TLS in")

    def test_with_tls_on_another_certificate_is_a_fail_of_its_own(self) -> None:
        self.stack("postgres", "redis", tls=True)
        self.program("psql", complains="psql: error: SSL error: certificate verify failed", code=2)
        result = self.run_check(postgres)
        self.assertResult(result, "FAIL", "certificate verify failed")
        self.assertIn("docker restart", result.hint)

    def test_leaves_nothing_behind(self) -> None:
        self.serve()
        self.run_check(postgres)
        sql = (self.root / "stdin").read_text()
        begin, rollback = sql.index("BEGIN;"), sql.index("ROLLBACK;")
        self.assertNotIn("COMMIT", sql)
        for write, count in (("CREATE SCHEMA", 1), ("CREATE EXTENSION", 2)):
            self.assertTrue(begin < sql.index(write) <= sql.rindex(write) < rollback, write)
            self.assertEqual(sql.count(write), count)

    def test_the_password_is_on_no_argument_list(self) -> None:
        self.serve()
        self.run_check(postgres)
        self.assertNotIn(SECRETS["postgres"], (self.root / "argv").read_text())


# A redis-cli with a Redis of six commands behind it, which knows one password. Answers are redis-cli's own.
REDIS_CLI = """
import json, sys

entered = password is None
keys = {}
with open(log, "a") as file:
    for line in sys.stdin:
        name, *words = line.split()
        json.dump([sys.argv[1:], name, *words], file)
        file.write("\\n")
        if name == "AUTH":
            entered = any_password or words == [password]
            print("OK" if entered else "(error) WRONGPASS invalid username-password pair or user is disabled.")
        elif not entered:
            print("(error) NOAUTH Authentication required.")
        elif name == "PING":
            print("PONG")
        elif name == "SET":
            if not forgetful:
                keys[words[0]] = words[1]
            print("OK")
        elif name == "GET":
            print('"%s"' % keys[words[0]] if words[0] in keys else "(nil)")
        elif name == "DEL":
            print("(integer) %d" % (keys.pop(words[0], None) is not None))
        else:
            print("# Server\\r\\nredis_version:8.0.2\\r\\nredis_git_sha1:00000000\\r")
"""


class Redis(WorkspaceTestCase):
    def serve(
        self,
        *,
        password: str | None = SECRETS["redis"],
        any_password: bool = False,
        forgetful: bool = False,
        tls: ServerTls | None = None,
    ) -> None:
        """Without a password everybody is let in; a forgetful one keeps nothing."""
        self.log = self.root / "redis.log"
        settings = {"password": password, "any_password": any_password, "forgetful": forgetful}
        self.script("/usr/bin/redis-cli", REDIS_CLI, log=str(self.log), **settings)
        self.listen("redis", lambda _: None, tls)

    def commands(self) -> list[tuple[list[str], list[str]]]:
        """The arguments of redis-cli and the words of each command that it was given."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [(arguments, words) for arguments, *words in calls]

    def test_passes_and_leaves_no_key(self) -> None:
        self.serve()
        self.assertResult(self.run_check(redis), "PASS", "Redis 8.0.2")
        names = [words[0] for _, words in self.commands()]
        self.assertLess(names.index("SET"), names.index("DEL"))

    def test_its_key_is_random_and_would_not_outlive_it(self) -> None:
        self.serve()
        self.run_check(redis)
        self.run_check(redis)
        first, second = (words for _, words in self.commands() if words[0] == "SET")
        self.assertNotEqual(first[1], second[1])
        self.assertEqual(first[3:], ["EX", "30", "NX"])

    def test_fails_where_no_password_is_needed(self) -> None:
        self.serve(password=None)
        self.assertResult(self.run_check(redis), "FAIL", "lets no password in")

    def test_fails_where_any_password_is_taken(self) -> None:
        self.serve(any_password=True)
        self.assertResult(self.run_check(redis), "FAIL", "lets a wrong password in")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(redis), "FAIL", "AUTH answers (error) WRONGPASS")

    def test_fails_where_the_value_does_not_come_back(self) -> None:
        self.serve(forgetful=True)
        self.assertResult(self.run_check(redis), "FAIL", "GET answers (nil)")
        self.assertIn("DEL", [words[0] for _, words in self.commands()])

    def test_fails_where_something_else_listens(self) -> None:
        self.listen("redis", lambda _: None)
        for said in ("", "Error: Protocol error, got \"H\" as reply type byte"):
            self.program("/usr/bin/redis-cli", prints="HTTP\n", complains=said)
            self.assertResult(self.run_check(redis), "FAIL", "redis-cli failed", said)

    def test_fails_where_nobody_listens(self) -> None:
        self.serve()
        self.services["redis"]["ports"]["redis"] = 9
        self.write_document()
        self.assertResult(self.run_check(redis), "FAIL", "no answer from 127.0.0.1:9")

    def test_the_password_is_on_no_argument_list(self) -> None:
        self.serve()
        self.run_check(redis)
        commands = self.commands()
        self.assertIn(["AUTH", SECRETS["redis"]], [words for _, words in commands])
        self.assertNotIn(SECRETS["redis"], repr([arguments for arguments, _ in commands]))

    def test_with_tls_on_it_takes_the_services_own_certificate(self) -> None:
        self.stack("postgres", "redis", tls=True)
        self.serve(tls=self_signed())
        self.assertResult(self.run_check(redis), "PASS", "TLS, certificate verified")
        certificate = str(self.root / "run/carbon/tls/redis.pem")
        for arguments, _ in self.commands():
            self.assertEqual(arguments[-3:], ["--tls", "--cacert", certificate])

    def test_with_tls_on_it_fails_where_another_certificate_is_shown(self) -> None:
        self.stack("postgres", "redis", tls=True)
        self.serve(tls=self_signed())
        self.certificate("redis", self_signed().certificate)
        result = self.run_check(redis)
        self.assertResult(result, "FAIL", "shows a certificate that is not its own")
        self.assertIn("docker restart", result.hint)


class Secrets(WorkspaceTestCase):
    def test_no_secret_is_in_the_report_though_every_service_blurts_its_own_out(self) -> None:
        everything = " ".join(SECRETS.values())

        def blurt(connection: socket.socket) -> None:
            connection.sendall(everything.encode() + b"\r\n")
            connection.recv(1024)

        for port in ("vnc", "ssh", "redis", "mqtt", "mongodb"):
            self.listen(port, blurt)
        for port in ("jupyter", "codeServer", "novnc", "qdrant"):
            self.listen_http(port, lambda request: reply(request, 500, everything, Location=everything))
        for program in (
            *("glxinfo", "xvfb-run", "vulkaninfo", "psql", "/opt/carbon/venv/bin/python"),
            *("/usr/bin/redis-cli", "/usr/bin/mosquitto_rr", "/opt/database-clients/bin/python"),
        ):
            self.program(program, prints=everything, complains=everything, code=1)
        self.write("/etc/carbon/torch-index", everything)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main([], checks=CHECKS, env=self.fresh())
        self.assertEqual(code, 1)
        self.assertIn("[secret]", out.getvalue())
        for name, secret in SECRETS.items():
            self.assertNotIn(secret, out.getvalue(), name)
