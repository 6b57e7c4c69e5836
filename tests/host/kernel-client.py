"""Runs code on a kernel of the gateway: `kernel-client.py URL KERNEL CODE [ENV]`, the token on standard input.

Prints one JSON document: what the kernel wrote, its id, and how it ended.
"""

import json
import sys
import uuid

import requests
import websocket

url, name, code, *env = sys.argv[1:]
headers = {"Authorization": f"token {sys.stdin.read().strip()}"}
body = {"name": name, "env": json.loads(env[0]) if env else {}}
kernel = requests.post(f"{url}/api/kernels", json=body, headers=headers, timeout=60)
kernel.raise_for_status()
identity = kernel.json()["id"]
socket = websocket.create_connection(
    f"{url.replace('http', 'ws')}/api/kernels/{identity}/channels", header=headers, timeout=60
)
header = {"msg_id": uuid.uuid4().hex, "session": "s", "username": "", "version": "5.3", "msg_type": "execute_request"}
content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
socket.send(
    json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []})
)
text, status, is_busy = "", "", True
# What it wrote and how it ended come on channels of their own, in whichever order.
while is_busy or not status:
    message = json.loads(socket.recv())
    if message["parent_header"].get("msg_id") != header["msg_id"]:
        continue
    if message["msg_type"] == "stream":
        text += message["content"]["text"]
    if message["msg_type"] == "execute_reply":
        status = message["content"]["status"]
    if message["msg_type"] == "status":
        is_busy = message["content"]["execution_state"] != "idle"
print(json.dumps({"id": identity, "text": text, "status": status}))
