"""llama.cpp's server with 16 slots and as many clients, for a job's time beside ours."""

import http.client
import json
import os
import pathlib
import queue
import re
import socket
import subprocess
import tempfile
import threading
import time

from peers import LLAMA, RunError, call, folder_of_variant, read_llama_version

PROGRAM = "llama-server"
SLOTS = 16
START_SECONDS_MAX = 300
ANSWER_SECONDS_MAX = 3600


def read_variant(maps):
    """The variant of the CPU backend in a process's /proc/PID/maps."""
    found = re.findall(r"libggml-cpu-([\w.-]+)\.so", maps)
    return found[-1] if found else "built in"


def read_answer(status, body):
    """(text, tokens in, tokens out) of a chat's answer."""
    if status != 200:
        raise RunError(f"{PROGRAM} answered {status}: {body[:200]}")
    out = json.loads(body)
    return out["choices"][0]["message"]["content"], out["usage"]["prompt_tokens"], out["usage"]["completion_tokens"]


class LlamaServer:
    name = LLAMA

    def __init__(self, folder, model, threads, variant="", version=""):
        self.folder, self.model, self.threads, self.wanted = folder, model, threads, variant
        self.copy = None
        if not (folder / PROGRAM).exists():
            raise RunError(f"{folder} has no {PROGRAM}")
        if variant:
            self.copy = tempfile.TemporaryDirectory(prefix="batchwright-jobs-")
            self.folder = folder_of_variant(folder, variant, pathlib.Path(self.copy.name), PROGRAM)
        self.environment = {"cwd": self.folder, "env": dict(os.environ, LD_LIBRARY_PATH=str(self.folder))}
        said = call([self.folder / PROGRAM, "--version"], **self.environment)
        self.version = version or read_llama_version(said.stdout + said.stderr)
        self.isa = "?"

    def command(self, port, context):
        # Each slot keeps the prompt it saw last and computes what the next one does not begin with (--cache-prompt).
        return [self.folder / PROGRAM, "-m", self.model, "-np", SLOTS, "-c", SLOTS * context, "-b", 2048, "-ub", 512,
                "-t", self.threads, "--cache-prompt", "--no-ui", "--host", "127.0.0.1", "--port", port]

    def run(self, bodies, context):
        """A server of its own for the job, so that nothing is cached before it; `context`: positions of each slot."""
        with tempfile.TemporaryFile() as log:
            port = free_port()
            began = time.monotonic()
            command = [str(word) for word in self.command(port, context)]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **self.environment)
            try:
                wait_until_ready(process, port, log)
                loaded = time.monotonic()
                self.check_variant(process)
                answers = ask_all(port, bodies)
                return {"seconds": time.monotonic() - loaded, "seconds_load": loaded - began,
                        "prompt_tokens": sum(answer[1] for answer in answers),
                        "generated_tokens": sum(answer[2] for answer in answers), "texts": [answer[0] for answer in answers]}
            finally:
                process.terminate()
                process.wait()

    def check_variant(self, process):
        self.isa = read_variant(pathlib.Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8"))
        if self.wanted and self.isa != self.wanted:
            raise RunError(f"llama.cpp took its variant {self.isa} instead of {self.wanted}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(process, port, log):
    began = time.monotonic()
    while process.poll() is None and time.monotonic() < began + START_SECONDS_MAX:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    log.seek(0)
    last = "\n".join(log.read().decode(errors="replace").splitlines()[-5:])
    raise RunError(f"{PROGRAM} did not become ready:\n{last}")


def ask_all(port, bodies):
    """All chats through SLOTS clients, each of which asks its next one when it has an answer; answers in order."""
    left = queue.SimpleQueue()
    for item in enumerate(bodies):
        left.put(item)
    answers, errors = [None] * len(bodies), []

    def client():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
            while not errors:
                index, body = left.get_nowait()
                connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
                response = connection.getresponse()
                answers[index] = read_answer(response.status, response.read().decode())
        except queue.Empty:
            connection.close()
        except (OSError, RunError, ValueError, KeyError, IndexError, http.client.HTTPException) as error:
            errors.append(error)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(SLOTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RunError(f"a request to {PROGRAM} failed: {errors[0]}")
    return answers
