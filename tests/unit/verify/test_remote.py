from __future__ import annotations

import socket

from verify.checks.remote import ssh, vnc

from .fakes import WorkspaceTestCase


class Vnc(WorkspaceTestCase):
    def serve(self, *types: int, subtypes: tuple[int, ...] = ()) -> None:
        """A server that offers security types and, for VeNCrypt, subtypes."""

        def talk(connection: socket.socket) -> None:
            connection.sendall(b"RFB 003.008\n")
            self.assertEqual(connection.recv(12), b"RFB 003.008\n")
            connection.sendall(bytes([len(types), *types]))
            if connection.recv(1) == bytes([19]):
                connection.sendall(b"\0\2")
                connection.recv(2)
                numbers = b"".join(number.to_bytes(4, "big") for number in subtypes)
                connection.sendall(b"\0" + bytes([len(subtypes)]) + numbers)
                connection.recv(1)

        self.listen("vnc", talk)

    def test_passes_where_a_password_is_asked_for(self) -> None:
        self.serve(2)
        self.assertResult(self.run_check(vnc), "PASS", "RFB 3.8, security VncAuth")

    def test_fails_where_everybody_is_let_in(self) -> None:
        for types, subtypes in (((1,), ()), ((2, 1), ()), ((2, 19), (261, 257)), ((2, 19), (260,))):
            with self.subTest(types=types, subtypes=subtypes):
                self.serve(*types, subtypes=subtypes)
                self.assertResult(self.run_check(vnc), "FAIL", "None")

    def test_with_tls_on_it_passes_where_only_the_encrypted_type_is_offered(self) -> None:
        self.stack(tls=True)
        self.serve(19, subtypes=(261,))
        self.assertResult(self.run_check(vnc), "PASS", "VeNCrypt, X509Vnc")

    def test_with_tls_on_it_fails_where_an_unencrypted_type_is_offered(self) -> None:
        self.stack(tls=True)
        for types, subtypes in (((2,), ()), ((2, 19), (261,)), ((19,), (258,))):
            with self.subTest(types=types, subtypes=subtypes):
                self.serve(*types, subtypes=subtypes)
                self.assertResult(self.run_check(vnc), "FAIL")

    def test_a_server_that_turns_clients_away_is_quoted(self) -> None:
        reason = b"Too many security failures"
        said = len(reason).to_bytes(4, "big") + reason
        for banner, no_types in ((b"RFB 003.003\n", bytes(4)), (b"RFB 003.008\n", bytes(1))):
            with self.subTest(banner):
                # The last recv waits for the client, so that hanging up does not cut off what it reads.
                def talk(connection: socket.socket, data: bytes = banner + no_types + said) -> None:
                    connection.sendall(data)
                    connection.recv(64)

                self.listen("vnc", talk)
                self.assertResult(self.run_check(vnc), "FAIL", "refuses clients: Too many security failures")

    def test_fails_on_a_server_that_hangs_up_and_on_another_protocol(self) -> None:
        self.listen("vnc", lambda connection: connection.sendall(b"RFB 003"))
        self.assertResult(self.run_check(vnc), "FAIL", "hung up after 7 of 12 bytes")
        self.listen("vnc", lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n"))
        self.assertResult(self.run_check(vnc), "FAIL", "not a VNC server")


class Ssh(WorkspaceTestCase):
    def test_passes_on_the_banner_of_version_2(self) -> None:
        self.listen("ssh", lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_10.0p2 Debian-7\r\n"))
        self.assertResult(self.run_check(ssh), "PASS", "SSH-2.0-OpenSSH_10.0p2 Debian-7")

    def test_fails_on_another_banner_and_on_one_without_end(self) -> None:
        self.listen("ssh", lambda connection: connection.sendall(b"SSH-1.5-old\r\n"))
        self.assertResult(self.run_check(ssh), "FAIL", "not an SSH 2 server: it said 'SSH-1.5-old'")
        self.listen("ssh", lambda connection: connection.sendall(b"x" * 300))
        self.assertResult(self.run_check(ssh), "FAIL", "not an SSH 2 server: it said 'xxx")
