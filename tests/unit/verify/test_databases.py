from __future__ import annotations

import contextlib
import io
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
        self.variables(CARBON_TLS="on")
        self.serve(hostssl=True)
        self.assertResult(self.run_check(postgres), "PASS", "TLS, certificate verified")
        self.serve()
        self.assertResult(self.run_check(postgres), "FAIL", "lets a session without TLS in")

    def test_with_tls_on_another_certificate_is_a_fail_of_its_own(self) -> None:
        self.variables(CARBON_TLS="on")
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


class Redis(WorkspaceTestCase):
    def serve(
        self,
        *,
        password: str | None = SECRETS["redis"],
        any_password: bool = False,
        forgetful: bool = False,
        tls: ServerTls | None = None,
    ) -> None:
        """A Redis of six commands. Without a password everybody is let in; a forgetful one keeps nothing."""
        self.commands: list[list[str]] = []
        self.keys: dict[str, str] = {}

        def talk(connection: socket.socket) -> None:
            stream, entered = connection.makefile("rwb"), password is None
            while words := read_command(stream):
                self.commands.append(words)
                name, arguments = words[0], words[1:]
                if name == "AUTH":
                    entered = any_password or arguments == [password]
                    answer = "+OK" if entered else "-WRONGPASS invalid username-password pair"
                elif not entered:
                    answer = "-NOAUTH Authentication required."
                else:
                    answer = self.execute(name, arguments, forgetful)
                stream.write(f"{answer}\r\n".encode())
                stream.flush()

        self.listen("redis", talk, tls)

    def execute(self, name: str, arguments: list[str], forgetful: bool) -> str:
        if name == "PING":
            return "+PONG"
        if name == "SET":
            self.keys.update({} if forgetful else {arguments[0]: arguments[1]})
            return "+OK"
        if name == "GET":
            value = self.keys.get(arguments[0])
            return f"${len(value)}\r\n{value}" if value else "$-1"
        if name == "DEL":
            return f":{int(self.keys.pop(arguments[0], None) is not None)}"
        info = "# Server\r\nredis_version:8.0.2\r\n"
        return f"${len(info)}\r\n{info}"

    def test_passes_and_leaves_no_key(self) -> None:
        self.serve()
        self.assertResult(self.run_check(redis), "PASS", "Redis 8.0.2")
        self.assertEqual(self.keys, {})

    def test_its_key_is_random_and_would_not_outlive_it(self) -> None:
        self.serve()
        self.run_check(redis)
        self.run_check(redis)
        first, second = (words for words in self.commands if words[0] == "SET")
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
        self.assertResult(self.run_check(redis), "FAIL", "AUTH with the right password answers 'WRONGPASS")

    def test_fails_where_the_value_does_not_come_back(self) -> None:
        self.serve(forgetful=True)
        self.assertResult(self.run_check(redis), "FAIL", "GET answers None")

    def test_fails_where_something_else_listens(self) -> None:
        def talk(connection: socket.socket) -> None:
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")

        self.listen("redis", talk)
        self.assertResult(
            self.run_check(redis), "FAIL", "not a Redis server: it said 'HTTP/1.1 400 Bad Request'"
        )

    def test_with_tls_on_it_takes_the_services_own_certificate(self) -> None:
        self.variables(CARBON_TLS="on")
        self.serve(tls=self_signed())
        self.assertResult(self.run_check(redis), "PASS", "TLS, certificate verified")

    def test_with_tls_on_it_fails_where_another_certificate_is_shown(self) -> None:
        self.variables(CARBON_TLS="on")
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

        for service in ("vnc", "ssh", "redis", "mosquitto", "mongodb"):
            self.listen(service, blurt)
        for service in ("jupyter", "code-server", "novnc", "qdrant"):
            self.listen_http(service, lambda request: reply(request, 500, everything, Location=everything))
        for program in ("glxinfo", "xvfb-run", "vulkaninfo", "psql", "/opt/carbon/venv/bin/python"):
            self.program(program, prints=everything, complains=everything, code=1)
        self.write("/etc/carbon/torch-index", everything)
        for form in ("--json", "--table"):
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = main([form], checks=CHECKS, env=self.fresh())
            self.assertEqual(code, 1)
            self.assertIn("[secret]", out.getvalue())
            for name, secret in SECRETS.items():
                self.assertNotIn(secret, out.getvalue(), name)


def read_command(stream: io.BufferedRWPair) -> list[str]:
    """A client's command: an array of bulk strings. Empty at the end."""
    head = stream.readline()
    words = []
    for _ in range(int(head[1:] or 0)):
        length = int(stream.readline()[1:])
        words.append(stream.read(length + 2)[:-2].decode())
    return words
