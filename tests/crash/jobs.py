"""Jobs for the tests in this folder: making them, running them, and judging what they left on the disk.

    expected = uninterrupted(binary, model, rows, folder)      # what an ordered run gives that nobody disturbs
    job = Job(binary, model, rows, folder / "answers.jsonl", expected)
    ... run job.command() and disturb it ...
    job.check_unfinished()     # whatever the journal names is there, and stays what it was
    ... run it to its end ...
    job.check_complete(code)

The journal is read here once more, from its description in src/journal and not with the program's code.
"""

import collections
import concurrent.futures
import csv
import dataclasses
import gzip
import io
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_ROWS_FAILED = 0, 1, 2, 3
EXIT_BAD_INPUT, EXIT_NO_FILE, EXIT_IO, EXIT_INTERRUPTED, EXIT_KILLED = 65, 66, 74, 75, 130

CONTEXT = ["--context-length", "256", "--kv-memory", "32MiB"]


class Wrong(Exception):
    """The program did what it must not do."""


def check(condition, *what):
    if not condition:
        raise Wrong(" ".join(str(part) for part in what))


def seeded(default=None):
    """A random generator whose seed is printed; BATCHWRIGHT_SEED repeats a run."""
    seed = int(os.environ.get("BATCHWRIGHT_SEED") or default or int.from_bytes(os.urandom(4), "little"))
    print(f"BATCHWRIGHT_SEED={seed}", flush=True)
    return random.Random(seed)


# --- The journal -----------------------------------------------------------------------------------------------------

HEADER = b"BWRECLOG" + struct.pack("<I", 1)
FRAME = struct.Struct("<IIB")  # length and CRC-32C of what follows it, type
ROW = struct.Struct("<IBQIIQQIII")
ATTEMPT, ROW_RECORD, PROGRESS, COMPLETE = 1, 2, 3, 4
ANSWER, ERROR = 0, 1


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # RFC 3720

Row = collections.namedtuple("Row", "row kind offset length checksum key_high key_low prompt computed generated")


class Journal:
    """What the whole records at a journal's beginning say; read() goes on where the last call ended."""

    def __init__(self):
        self.valid = b""  # the bytes that were believed
        self.attempts = []  # their parameters
        self.rows = []
        self.is_complete = False
        self.is_ordered = False

    def read(self, data):
        check(data.startswith(self.valid), "the journal no longer begins with what it held:", len(self.valid), "bytes")
        if not self.valid:
            if len(data) < 16:
                return
            check(data[:12] == HEADER and struct.unpack("<I", data[12:16])[0] == crc32c(HEADER), "no journal", data[:16])
        at = len(self.valid) or 16
        while len(data) - at >= FRAME.size:
            length, checksum, kind = FRAME.unpack_from(data, at)
            payload = data[at + FRAME.size : at + FRAME.size + length]
            if len(payload) < length or crc32c(bytes([kind]) + payload) != checksum:
                break
            self._take(kind, payload)
            at += FRAME.size + length
        self.valid = data[:at]

    def _take(self, kind, payload):
        if kind == ATTEMPT:
            self.attempts.append(json.loads(payload[8:]))
            self.is_complete = False
        elif kind == ROW_RECORD:
            check(self.attempts and not self.is_complete, "a row outside an attempt")
            self.rows.append(Row(*ROW.unpack(payload)))
        elif kind == PROGRESS:
            check(len(payload) == 32 and min(struct.unpack("<dqdq", payload)) >= 0, "a progress that cannot be", payload)
        elif kind == COMPLETE:
            check(len(payload) == 9, "a completion of", len(payload), "bytes")
            self.is_complete, self.is_ordered = True, payload[8] != 0
        else:
            raise Wrong(f"a record of the unknown type {kind}")


# --- Rows ------------------------------------------------------------------------------------------------------------

WORDS = ("the game library of a free public license is for reading and writing files that are in an answer below with "
         "any other time or day").split()
STRANGE = ["naïve café", "日本語 テキスト", "🙂👩‍👩‍👧", "עברית", "a\u0301\u0000b", "\"quoted\", \\ and\ttab", "line\nbreak"]
NOT_JSON = b'{"custom_id": "cut off", "body": {"prompt": "the'


def text(rng, words):
    chosen = [rng.choice(WORDS) for _ in range(words)]
    if rng.random() < 0.2:
        chosen.append(rng.choice(STRANGE))
    return " ".join(chosen)


def json_rows(rng, count, failing=0.04):
    """Lines of a job: chats and prompts, greedy and sampled, some with two choices; some fail in various ways."""
    lines = []
    for i in range(count):
        body = {"max_tokens": rng.randint(1, 6), "temperature": rng.choice([0, 0, 0.8, 1.5])}
        if rng.random() < 0.1:
            body["n"] = 2
        if rng.random() < 0.1:
            body["seed"] = i
        is_chat = rng.random() < 0.4
        if is_chat:
            body["messages"] = [{"role": "user", "content": text(rng, rng.randint(1, 12))}]
        else:
            body["prompt"] = text(rng, rng.randint(1, 12))
        row = {"custom_id": f"row {i}" if i % 7 else f"Zeile-ü-{i}", "method": "POST",
               "url": "/v1/chat/completions" if is_chat else "/v1/completions", "body": body}
        line = None
        if rng.random() < failing:
            failure = rng.choice(["temperature", "url", "long", "missing", "not json"])
            if failure == "temperature":
                body["temperature"] = "warm"
            elif failure == "url":
                row["url"] = "/v1/nothing"
            elif failure == "long":
                row["url"] = "/v1/completions"
                body["prompt"] = "xyz " * 300
            elif failure == "missing":
                body.pop("prompt", None)
                body.pop("messages", None)
            else:
                line = NOT_JSON
        lines.append(line or json.dumps(row, ensure_ascii=rng.random() < 0.5).encode())
    return lines


@dataclasses.dataclass
class Rows:
    """The input of a job, and what it takes to run it."""

    data: bytes  # what the file holds
    name: str
    count: int
    ids: list  # of each row; None where it has none
    options: list = dataclasses.field(default_factory=list)
    is_stdin: bool = False
    is_table: bool = False  # the output, too

    def write(self, folder):
        if not self.is_stdin:
            (folder / self.name).write_bytes(self.data)


def rows_of(lines, name="rows.jsonl", **options):
    ids = [None if line == NOT_JSON else json.loads(line)["custom_id"] for line in lines]
    data = b"".join(line + b"\n" for line in lines)
    if name.endswith(".gz"):
        data = gzip.compress(data, 1)
    return Rows(data, name, len(lines), ids, is_stdin=name == "-", **options)


def table_rows(rng, count, failing=0.04):
    """A table with columns that need quotes; the rows' output is a table too."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(["key", "title", "text", "the note"])
    for i in range(count):
        long = "xyz " * 300 if rng.random() < failing else ""
        # The reader of tables keeps no NUL.
        table.writerow([f"key {i}", text(rng, 2).replace("\0", ""), long + text(rng, rng.randint(1, 9)).replace("\0", ""),
                        rng.choice(['"', "a\nb", "x,y", "", "ü"])])
    return Rows(out.getvalue().encode(), "rows.csv", count, [f"key {i}" for i in range(count)], is_table=True,
                options=["--prompt", "Title: {title} - {text}", "--id", "key", "--carry", "title", "--carry",
                         "the note", "--max-tokens", "4", "--temperature", "0.7"])


# --- Running ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Expected:
    """What an undisturbed ordered run gives."""

    code: int
    answers: bytes
    errors: bytes  # empty: no such file
    ok: int
    failed: int


def environment():
    return {key: value for key, value in os.environ.items() if key != "BATCHWRIGHT_ISA"}


class Job:
    """A job whose output has a name; its files lie in that name's folder, which holds nothing else with this name."""

    def __init__(self, binary, model, rows, output, expected=None, options=()):
        self.binary, self.model, self.rows, self.expected = binary, model, rows, expected
        self.output = pathlib.Path(output)
        self.folder = self.output.parent
        self.options = [*rows.options, *options]
        self.is_ordered = "--ordered" in self.options
        self.forget()

    def forget(self):
        """From now on nothing is known of what the files held: they were made anew, or damaged."""
        self.journal = Journal()
        self._checked = {ANSWER: b"", ERROR: b""}
        self._checked_rows = 0
        self._seen = set()

    def path(self, end=""):
        return self.folder / (self.output.name + end)

    def command(self, *extra):
        job = "-" if self.rows.is_stdin else str(self.folder / self.rows.name)
        return [str(self.binary), "run", job, "-m", str(self.model), "-o", str(self.output), *CONTEXT, *self.options,
                *map(str, extra)]

    def stdin(self):
        """What a process reads that runs the job: the rows as long as no run has begun that has them, then nothing."""
        has_rows = not self.rows.is_stdin or self.has_begun()
        return subprocess.DEVNULL if has_rows else self._rows_file()

    def _rows_file(self):
        file = tempfile.TemporaryFile()
        file.write(self.rows.data)
        file.seek(0)
        return file

    def has_begun(self):
        """Whether the journal names an attempt."""
        journal = Journal()
        try:
            journal.read(self.path(".journal").read_bytes())
        except OSError:
            return False
        return bool(journal.attempts)

    def start(self, *extra, **options):
        options.setdefault("stdin", self.stdin())
        options.setdefault("env", environment())
        return subprocess.Popen(self.command(*extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def run(self, *extra, timeout=300, **options):
        process = self.start(*extra, **options)
        try:
            _, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Wrong(f"hangs: {self.command(*extra)}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, b"", stderr)

    # What is on the disk.

    def files(self):
        """Name and bytes of all files of this job."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.name.startswith(self.output.name)}

    def read(self, end):
        path = self.path(end)
        return path.read_bytes() if path.exists() else None

    def report(self):
        return json.loads(self.path(".report.json").read_bytes())

    def check_unfinished(self):
        """Every row of the journal stands whole at its place; nothing that it said before is gone."""
        data = self.read(".journal")
        if data is None:
            # Only one that names no attempt yet may go: a run that is stopped before its first leaves nothing behind.
            check(not self.journal.attempts, "the journal is gone")
            return
        self.journal.read(data)
        new = self.journal.rows[self._checked_rows :]
        for row in new:
            check(row.row not in self._seen, "row", row.row, "was run twice")
            check(row.row < self.rows.count, "row", row.row, "does not exist")
            self._seen.add(row.row)
        self._checked_rows = len(self.journal.rows)
        if self.journal.is_complete:
            return  # the results have their names, and an order of their own
        for kind, end in ((ANSWER, ""), (ERROR, ".errors.jsonl")):
            self._check_result(kind, end, [row for row in new if row.kind == kind])

    def _check_result(self, kind, end, new):
        content = self.read(end + ".partial")
        if content is None:
            content = self.read(end) or b""  # killed when it had its name already
        before = self._checked[kind]
        check(content.startswith(before), end + ".partial", "no longer begins with what was reported")
        for row in new:
            begin = len(before) if before else self._header_bytes(kind, content)
            check(row.offset == begin, "row", row.row, "begins at", row.offset, "and the line before ends at", begin)
            line = content[row.offset : row.offset + row.length]
            check(len(line) == row.length > 0 and line.endswith(b"\n"), "row", row.row, "is not whole:", line)
            check(crc32c(line) == row.checksum, "row", row.row, "does not match its checksum")
            if kind == ERROR or not self.rows.is_table:
                check(line.count(b"\n") == 1, "row", row.row, "is no line")
                check(json.loads(line)["custom_id"] == self.rows.ids[row.row], "row", row.row, "is another:", line)
            before = content[: row.offset + row.length]
        self._checked[kind] = before

    def _header_bytes(self, kind, content):
        return content.index(b"\n") + 1 if kind == ANSWER and self.rows.is_table else 0

    def check_complete(self, code):
        """The job has ended as one that was never disturbed; returns nothing."""
        expected = self.expected
        check(code == expected.code, "exit code", code, "instead of", expected.code)
        self.check_unfinished()
        check(self.journal.is_complete, "the journal does not say that the job is complete")
        check(len(self.journal.rows) == self.rows.count, len(self.journal.rows), "rows are in the journal")
        errors = self.read(".errors.jsonl")
        check((errors is not None) == (expected.failed > 0), "errors file:", errors)
        if self.journal.is_ordered:
            check(self.read("") == expected.answers, "the ordered answers differ from those of an undisturbed run")
            check((errors or b"") == expected.errors, "the ordered errors differ")
        else:
            check(lines_of(self.read("")) == lines_of(expected.answers), "the answers differ as a set of lines")
            check(lines_of(errors or b"") == lines_of(expected.errors), "the errors differ as a set of lines")
        allowed = {self.path(end).name for end in ("", ".errors.jsonl", ".journal", ".report.json")}
        left = set(self.files()) - allowed
        check(not left, "left behind:", sorted(left))


def lines_of(data):
    return sorted(data.splitlines())


def ids_of(rows, answers, errors):
    """custom_id of all lines of the two files; of those that have none, the line's number in the input."""
    if rows.is_table:
        records = list(csv.DictReader(io.StringIO(answers.decode(), newline="")))
        ids = [record["custom_id"] for record in records]
    else:
        ids = [json.loads(line)["custom_id"] for line in answers.splitlines()]
    return ids, [json.loads(line)["custom_id"] for line in errors.splitlines()]


def uninterrupted(binary, model, rows, folder, options=()):
    """Runs the rows, ordered, and makes sure that each of them came out once."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    rows.write(folder)
    name = "whole.csv" if rows.is_table else "whole.jsonl"
    job = Job(binary, model, rows, folder / name, options=[*options, "--ordered"])
    done = job.run("--overwrite")
    check(done.returncode in (EXIT_OK, EXIT_ROWS_FAILED), "undisturbed:", done.returncode, done.stderr.decode())
    answers, errors = job.read(""), job.read(".errors.jsonl") or b""
    ids, failed = ids_of(rows, answers, errors)
    count = lambda values: collections.Counter(values)
    check(count(ids + failed) == count(rows.ids), "not each row came out once")
    failed_ids = set(failed)
    check(ids == [i for i in rows.ids if i not in failed_ids], "the answers are not in order")
    expected = Expected(done.returncode, answers, errors, len(ids), len(failed))
    check((expected.failed > 0) == (expected.code == EXIT_ROWS_FAILED), "exit code", expected.code, failed)
    job.expected = expected
    job.check_complete(done.returncode)
    return expected


def said(done):
    return done.stderr.decode(errors="replace")


def run_scenarios(kinds, unit, binary, model, folder):
    """Runs these classes of scenarios, two at a time, and prints how many of the unit each had; BATCHWRIGHT_SCENARIO
    names a single one."""
    only = os.environ.get("BATCHWRIGHT_SCENARIO")
    chosen = [kind for kind in kinds if not only or kind.name == only]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {kind.name: pool.submit(lambda kind=kind: kind(binary, model, folder).run()) for kind in chosen}
        counts, wrongs = {}, []
        for name, run in runs.items():
            try:
                counts[name] = run.result()
            except Wrong as wrong:
                wrongs.append(str(wrong))
    check(not wrongs, "\n".join(wrongs))
    print(f"{sum(counts.values())} {unit}: {counts}")


def main(run):
    """Runs a test's function with the command line's BINARY and MODEL; the exit code tells whether all was right."""
    binary, model = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    # A kill leaves what was written whatever the disk; in memory there are more of them in the same time.
    memory = "/dev/shm" if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="batchwright-crash-", dir=memory) as folder:
        try:
            run(binary, model, pathlib.Path(folder))
        except Wrong as wrong:
            sys.exit(f"WRONG: {wrong}")
