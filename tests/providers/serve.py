"""Runs a command beside servers that were written by others: python serve.py -- command argument...

It starts them on free ports of loopback, waits until each answers, names their addresses in the
command's environment, and stops them when it has ended, however it did. Its exit code is the
command's.

    EDGEPOOL_LLMOCK          OpenAI and Anthropic, with faults by scenario, and a verdict
    EDGEPOOL_LLMOCK_LIMITED  the same, with limits of requests and tokens a minute
    EDGEPOOL_MINILM          real embeddings
    EDGEPOOL_AIMOCK          OpenAI, Anthropic and Ollama, by fixtures, to those with the key sk-test

What they print goes to the files of the folder that EDGEPOOL_SERVER_LOGS names.
"""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOGS = Path(os.environ.get("EDGEPOOL_SERVER_LOGS", "."))
READY_WITHIN = 60.0
# A proxy that the environment names is not for loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fail(message):
    raise SystemExit(f"serve.py: {message}")


def start(name, command, **options):
    with open(LOGS / f"{name}.log", "wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options
        )


def python_server(name, app, env=None):
    """Starts an application. It is given a socket that has its port, so that nobody takes that."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--no-access-log", "--fd", str(listener.fileno())]
    child = start(
        name,
        [*command, "--app-dir", str(HERE), app],
        env={**os.environ, **(env or {})},
        pass_fds=[listener.fileno()],
    )
    listener.close()
    return child, lambda: f"http://127.0.0.1:{port}", "/health"


def aimock(name):
    folder = Path(os.environ.get("EDGEPOOL_AIMOCK_FOLDER", HERE.parent / "js" / "providers"))
    program = folder / "node_modules/@copilotkit/aimock/dist/cli.js"
    command = ["node", str(program), "-p", "0", "-f", str(folder / "fixtures"), "--latency", "5"]
    child = start(name, command, env={**os.environ, "AIMOCK_API_KEYS": "sk-test"})

    def address():
        told = re.search(r"listening on (http://127\.0\.0\.1:\d+)", log_of(name))
        return told and told[1]

    return child, address, "/health"


def log_of(name):
    return (LOGS / f"{name}.log").read_text(errors="replace")


def answers(address, path):
    try:
        with DIRECT.open(address + path, timeout=5) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


def wait_for(name, child, address, path):
    """Waits until a server answers, and returns where it does."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if child.poll() is not None:
            fail(f"{name} ended before it answered:\n{log_of(name)}")
        at = address()
        if at and answers(at, path):
            return at
        time.sleep(0.05)
    fail(f"{name} did not answer within {READY_WITHIN:.0f} s:\n{log_of(name)}")


def stop(children):
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(3)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        fail("usage: serve.py -- command arguments...")
    # Asked to end, it stops them too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    LOGS.mkdir(parents=True, exist_ok=True)
    # So that a client can leave a stream before all of it is under way.
    paced = {"LLMOCK_STREAM_CHUNK_DELAY_MS": "20"}
    limits = {"LLMOCK_RPM": "60", "LLMOCK_TPM": "100000"}
    servers = {}
    try:
        servers["LLMOCK"] = python_server("llmock", "llmock.main:app", paced)
        servers["LLMOCK_LIMITED"] = python_server("llmock-limited", "llmock.main:app", limits)
        servers["MINILM"] = python_server("minilm", "minilm:app")
        servers["AIMOCK"] = aimock("aimock")
        env = dict(os.environ)
        for name, (child, address, path) in servers.items():
            log = name.lower().replace("_", "-")
            env[f"EDGEPOOL_{name}"] = wait_for(log, child, address, path)
        return subprocess.call(sys.argv[2:], env=env)
    finally:
        # Asked once more, it stops them all the same.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop([child for child, _, _ in servers.values()])


if __name__ == "__main__":
    sys.exit(main())
