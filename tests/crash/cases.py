"""Cases of what people do to a job, for the tests in this folder: each function that is marked with @case runs in a
folder of its own. BATCHWRIGHT_CASE names a single one."""

import concurrent.futures
import itertools
import os
import time
import traceback

import fault
import jobs
from jobs import check

CASES = []


def case(function):
    CASES.append(function)
    return function


class Skip(Exception):
    pass


class Place:
    """A folder, the model, and a random generator of a case's own."""

    def __init__(self, binary, model, folder, name, seed):
        self.binary, self.model = binary, model
        self.folder = folder / name
        self.folder.mkdir()
        self.name = name
        self.rng = jobs.random.Random(f"{seed} {name}")

    def job(self, count=40, options=(), rows=None, folder=None, failing=0.1, output="answers.jsonl"):
        """A job of so many rows, with what it must give."""
        rows = rows or jobs.rows_of(jobs.json_rows(self.rng, count, failing))
        # --ordered says nothing about the bytes.
        plain = [option for option in options if option != "--ordered"]
        expected = jobs.uninterrupted(self.binary, self.model, rows, self.folder / "whole", plain)
        folder = folder or self.folder
        rows.write(folder)
        return jobs.Job(self.binary, self.model, rows, folder / output, expected, options)

    def long_job(self, **options):
        """One that runs for a second or so."""
        return self.job(count=6000, **options)


def complete(job, *extra):
    done = job.run(*extra)
    check(done.returncode == job.expected.code, "exit code", done.returncode, jobs.said(done))
    job.check_complete(done.returncode)
    return done


def half_done(job, *extra):
    """Some rows are reported, and behind them stand pieces of others."""
    # The header, the attempt, and then rows, mostly one a write.
    for at in itertools.count(4 + job.rows.count // 5, 3):
        for name in job.files():
            (job.folder / name).unlink()
        fault.run(job.command("--sync-interval", "0", "--max-batch", "1", *extra), folder=job.folder, stdin=job.stdin(),
                  fault=fault.Fault("write", at=at, path=".journal", do="kill-half"))
        job.forget()
        job.check_unfinished()
        check(not job.journal.is_complete, "was never half-done")
        if job.rows.count // 3 < len(job.journal.rows):
            return


def state(job):
    """All that touching a file changes."""
    result = {}
    for path in job.folder.iterdir():
        if path.name.startswith(job.output.name):
            info = path.stat()
            result[path.name] = (path.read_bytes(), info.st_mtime_ns, info.st_ino)
    return result


def refused(job, code, words, *extra):
    """A run that ends with that exit code, says these words, and touches nothing."""
    before = state(job)
    done = job.run(*extra)
    message = jobs.said(done)
    codes = code if isinstance(code, tuple) else (code,)
    check(done.returncode in codes, extra, "exit code", done.returncode, message)
    for word in [words] if isinstance(words, str) else words:
        check(word in message, extra, "does not say", repr(word), ":", message)
    after = state(job)
    check(before == after, extra, "touched", [name for name in {**before, **after} if before.get(name) != after.get(name)])
    return message


def run_case(function, binary, model, folder, seed):
    begin = time.monotonic()
    try:
        function(Place(binary, model, folder, function.__name__, seed))
        return f"ok ({time.monotonic() - begin:.1f} s)"
    except Skip as skip:
        return f"skipped: {skip}"
    except jobs.Wrong as wrong:
        return f"WRONG: {wrong}"
    except Exception:
        return f"WRONG: {traceback.format_exc()}"


def test(binary, model, folder):
    """Runs all cases of the program, two at a time: for jobs.main."""
    seed = jobs.seeded(20261122).getrandbits(32)
    only = os.environ.get("BATCHWRIGHT_CASE")
    chosen = [function for function in CASES if not only or function.__name__ == only]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [(function.__name__, pool.submit(run_case, function, binary, model, folder, seed))
                for function in chosen]
        results = [(name, run.result()) for name, run in runs]
    for name, result in results:
        print(f"{name}: {result}")
    check(not any(result.startswith("WRONG") for _, result in results), "see above")
