#!/usr/bin/env python3
"""kill_everywhere.py BINARY MODEL: kills the program before, in the middle of, and after each of its calls that change
files, in turn, and lets the same command go on."""

import itertools

import fault
import jobs
from jobs import check

STRIKES = [(call, do) for call in ("write", "sync", "rename", "truncate", "unlink", "open")
           for do in ("kill-before", "kill-half", "kill-after") if do != "kill-half" or call == "write"]
CALLS_MAX = 1000


def small_rows(name="rows.jsonl"):
    """Eight rows, two of which fail: one for ever, and one for a limit that can be raised."""
    lines = []
    for i in range(8):
        body = {"prompt": "the game " * (1 + i), "max_tokens": 1 + i % 3, "temperature": 0.7}
        if i == 2:
            body["temperature"] = "warm"
        if i == 5:
            body["stop"] = ["one", "two", "three"]
        lines.append(jobs.json.dumps({"custom_id": f"row {i}", "method": "POST", "url": "/v1/completions",
                                      "body": body}).encode())
    return jobs.rows_of(lines, name)


class Scenario:
    """How the output's place looks before the run that is struck, and what command that is."""

    name = ""
    input = "rows.jsonl"
    options = ()
    stop_strings = "2"
    # The journal may be put in place anew, so that rows stand elsewhere.
    rewrites = False

    def __init__(self, binary, model, folder):
        self.binary, self.model = binary, model
        self.folder = folder / self.name.replace(" ", "-")
        self.folder.mkdir()
        self.rows = small_rows(self.input)
        expected = jobs.uninterrupted(binary, model, self.rows, folder / (self.folder.name + "-whole"),
                                      ["--limit-stop-strings", self.stop_strings])
        self.rows.write(self.folder)
        self.job = self.make(self.options, expected)
        self.before = self.prepare()

    def make(self, options, expected=None, stop_strings=None):
        options = ["--sync-interval", "0", "--threads", "1", "--limit-stop-strings", stop_strings or self.stop_strings,
                   *options]
        return jobs.Job(self.binary, self.model, self.rows, self.folder / "answers.jsonl", expected, options)

    def prepare(self):
        """Makes what is there before; the files."""
        return self.job.files()

    def complete(self, *options, stop_strings=None):
        """A run without faults."""
        done = self.make(options, stop_strings=stop_strings).run()
        check(done.returncode in (0, 3), "prepare:", done.returncode, jobs.said(done))
        return self.job.files()

    def restore(self):
        for name in self.job.files():
            (self.folder / name).unlink()
        for name, content in self.before.items():
            (self.folder / name).write_bytes(content)
        self.job.forget()

    def check_after_kill(self):
        self.job.check_unfinished()

    def check_end(self, done, reported):
        self.job.check_complete(done.returncode)
        if "this job is complete" not in jobs.said(done):
            check(self.job.report()["rows_resumed"] == reported, self.job.report()["rows_resumed"], "of", reported)

    def strike(self, spec):
        """One run that is killed and one that goes on; whether the fault struck."""
        self.restore()
        if not self.rewrites:
            self.job.check_unfinished()
        killed = fault.run(self.job.command(), folder=self.folder, fault=spec, stdin=self.job.stdin())
        if killed.struck == 0:
            self.check_end(killed, self.reported_at_start())
            return False
        check(killed.returncode == fault.KILLED, "exit code", killed.returncode, jobs.said(killed))
        self.check_after_kill()
        reported = self.reported_at_start()
        done = self.job.run()
        check(done.returncode in (0, 3), "goes on:", done.returncode, jobs.said(done))
        if self.rewrites:
            self.job.forget()
        self.check_end(done, reported)
        return True

    def reported_at_start(self):
        return len(self.job.journal.rows)

    def run(self):
        struck = 0
        for call, do in STRIKES:
            for k in itertools.count(1):
                spec = fault.Fault(call, at=k, do=do)
                try:
                    if not self.strike(spec):
                        break
                except jobs.Wrong as wrong:
                    raise jobs.Wrong(f"{self.name}, {spec}: {wrong}") from None
                struck += 1
                check(k < CALLS_MAX, self.name, spec, "does not end")
            # Each kind of call happens; the last of it was k - 1.
            check(k > 1 or call in ("rename", "truncate"), self.name, "has no", call)
        return struck


class Unordered(Scenario):
    name = "unordered"


class Ordered(Scenario):
    name = "ordered"
    options = ("--ordered",)


class StandardInput(Scenario):
    name = "standard input"
    input = "-"


class Compressed(Scenario):
    name = "compressed"
    input = "rows.jsonl.gz"
    options = ("--ordered",)


class Resuming(Scenario):
    """The run that is struck finds a half-done job whose files end in what was not written whole."""

    name = "resuming"
    options = ("--ordered",)

    def prepare(self):
        # The journal: its header, the attempt, and then a group of rows a write.
        for at in itertools.count(4):
            self.restore_nothing()
            fault.run(self.job.command("--max-batch", 1), folder=self.folder,
                      fault=fault.Fault("write", at=at, path=".journal", do="kill-half"))
            self.job.forget()
            self.job.check_unfinished()
            check(not self.job.journal.is_complete, "no run was killed with some rows done")
            if 2 < len(self.job.journal.rows) < 8:
                break
        for end in (".partial", ".errors.jsonl.partial", ".journal"):
            with open(self.job.path(end), "ab") as file:
                file.write(b'{"custom_id": "row')
        return self.job.files()

    def restore_nothing(self):
        for name in self.job.files():
            (self.folder / name).unlink()


class Reopening(Scenario):
    """A complete job goes on: its rows stay, whatever becomes of their places."""

    rewrites = True

    def check_after_kill(self):
        self.job.forget()
        self.job.check_unfinished()
        self.reported = len(self.job.journal.rows)
        kept = {row.row for row in self.job.journal.rows}
        check(kept >= self.kept_rows, "lost:", self.kept_rows - kept)

    def check_end(self, done, reported):
        self.job.forget()
        self.job.check_complete(done.returncode)


class RetryFailed(Reopening):
    name = "retry failed"
    options = ("--retry-failed", "--ordered")
    stop_strings = "4"
    kept_rows = {0, 1, 3, 4, 6, 7}
    before_options = ("--ordered",)

    def prepare(self):
        return self.complete(*self.before_options, stop_strings="2")


class RetryFailedUnordered(RetryFailed):
    name = "retry failed unordered"
    options = ("--retry-failed",)
    before_options = ()


class RaisedLimit(Reopening):
    name = "raised limit"
    kept_rows = {0, 1, 2, 3, 4}

    def prepare(self):
        return self.complete("--limit", "5", "--ordered")


class RaisedLimitUnordered(RaisedLimit):
    name = "raised limit unordered"
    options = ("--ordered",)

    def prepare(self):
        return self.complete("--limit", "5")


class Restart(Reopening):
    """What was there is nowhere lost, however often it is moved."""

    name = "restart"
    options = ("--restart",)
    kept_rows = set()

    def prepare(self):
        return self.complete("--seed", "3")

    def check_after_kill(self):
        super().check_after_kill()
        self.check_old()

    def check_old(self):
        for end in ("", ".errors.jsonl", ".journal"):
            old = self.before[self.job.output.name + end]
            check(old in self.job.files().values(), "what was in", self.job.output.name + end, "is lost")

    def check_end(self, done, reported):
        self.check_old()
        for name in self.job.files():
            if ".old-" in name:
                (self.folder / name).unlink()
        super().check_end(done, reported)


class Overwrite(Reopening):
    name = "overwrite"
    options = ("--overwrite", "--ordered")
    kept_rows = set()

    def prepare(self):
        return self.complete("--seed", "5")


class OverwriteFromStandardInput(Overwrite):
    name = "overwrite from standard input"
    input = "-"

    def strike(self, spec):
        # Each time the rows have to come again.
        self.job.has_begun = lambda: False
        return super().strike(spec)


SCENARIOS = [Unordered, Ordered, StandardInput, Compressed, Resuming, RetryFailed, RetryFailedUnordered, RaisedLimit,
             RaisedLimitUnordered, Restart, Overwrite, OverwriteFromStandardInput]


def test(binary, model, folder):
    jobs.run_scenarios(SCENARIOS, "kills", binary, model, folder)


if __name__ == "__main__":
    jobs.main(test)
