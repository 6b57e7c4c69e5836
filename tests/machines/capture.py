"""What crosses a network interface, in numbers: `capture.py INTERFACE MARK...` until standard input ends.

Prints one JSON document: packets, those of Docker's overlay (UDP to port 4789) and of IPsec (ESP), and how many hold each
of the marks in the clear.
"""

import json
import select
import socket
import sys

ETH_P_ALL = 3
interface, *marks = sys.argv[1:]
listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
listener.bind((interface, 0))
counts = {"packets": 0, "overlay": 0, "esp": 0, "marks": dict.fromkeys(marks, 0)}
print("ready", flush=True)
while True:
    ready, _, _ = select.select([listener, sys.stdin], [], [])
    if listener in ready:
        packet = listener.recv(65536)
        counts["packets"] += 1
        if packet[12:14] == b"\x08\x00":
            header = 14 + (packet[14] & 15) * 4
            protocol = packet[23]
            counts["esp"] += protocol == 50
            counts["overlay"] += protocol == 17 and packet[header + 2 : header + 4] == (4789).to_bytes(2, "big")
        for mark in marks:
            counts["marks"][mark] += mark.encode() in packet
    elif sys.stdin in ready and sys.stdin.read(1) == "":
        print(json.dumps(counts))
        break
