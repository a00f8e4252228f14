"""Running batchwright in a test: jobs in temporary folders, what came out of them."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77


class Program:
    def __init__(self, binary):
        self.binary = binary
        self.folder = tempfile.TemporaryDirectory(prefix="batchwright-test-")
        self.path = pathlib.Path(self.folder.name)

    def call(self, *arguments, stdin=None, timeout=900):
        environment = {key: value for key, value in os.environ.items() if key != "BATCHWRIGHT_ISA"}
        return subprocess.run([self.binary, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                              env=environment, check=False)

    def write(self, name, rows):
        """A job of rows: objects, or bytes to be written as they are."""
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path = self.path / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def run(self, job, model, *options, codes=(0,), timeout=900):
        """The lines of output and errors, as they stand in the files."""
        output = self.path / "answers.jsonl"
        done = self.call("run", job, "-m", model, "-o", output, "--overwrite", "--quiet", *options, timeout=timeout)
        assert done.returncode in codes, f"{options}: exit code {done.returncode}: {done.stderr.decode()}"
        errors = pathlib.Path(str(output) + ".errors.jsonl")
        report = json.loads(pathlib.Path(str(output) + ".report.json").read_text(encoding="utf-8"))
        return output.read_bytes().splitlines(), errors.read_bytes().splitlines() if errors.exists() else [], report

    def has_isa(self, name, model):
        job = self.write("isa.jsonl", [{"prompt": "a", "max_tokens": 1}])
        done = self.call("run", job, "-m", model, "-o", "-", "--context-length", 64, "--isa", name)
        return not (done.returncode == 2 and b"this machine has no" in done.stderr)


def real_models():
    """The folder of the real models; ends the test where there is none."""
    folder = os.environ.get("BATCHWRIGHT_TEST_MODELS")
    if folder:
        return pathlib.Path(folder)
    print("BATCHWRIGHT_TEST_MODELS is not set")
    sys.exit(1 if os.environ.get("BATCHWRIGHT_REQUIRE_MODELS") == "1" else SKIPPED)


def compare(expected, got, setting):
    """Two lists of lines must hold the same bytes."""
    if expected == got:
        return
    for ours, theirs in zip(expected, got):
        if ours != theirs:
            sys.exit(f"{setting}: differs\n  expected {ours.decode()}\n  got      {theirs.decode()}")
    sys.exit(f"{setting}: {len(got)} lines instead of {len(expected)}")
