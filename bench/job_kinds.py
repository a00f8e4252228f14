"""The jobs of bench/jobs: each makes its rows, runs them, and says what came of it beside its marks.

A kind has a name, `measure(bench)`, which gives raw runs, and `figures(raw)`, which needs nothing but these. `cases(bench)`
are the jobs that it runs, for bench/job_forecast.py.
"""

import importlib.machinery
import importlib.util
import json
import pathlib

import job_figures
import job_rows
import prefix_pages
from job_forecast import Case
from job_rows import Row, prompts
from package_text import TextError, attention_shape

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS_FIRST = 64  # of a job that is `begun`


def load_demo():
    loader = importlib.machinery.SourceFileLoader("demo", str(ROOT / "scripts" / "demo"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo", loader))
    loader.exec_module(module)
    return module


class Demo:
    """The job of scripts/demo, its answers free: at most 8 tokens, as the server is asked too."""
    CONTEXT = 1024  # positions of each slot of the server: the prompts have some 520 tokens
    ANSWER = 8

    def __init__(self, rows, mark):
        self.rows, self.mark = rows, mark
        self.name = f"demo-{rows}"
        self.about = f"{rows} package descriptions to sort by topic, 18 examples before each"

    def lines(self, path, count):
        demo = load_demo()
        try:
            demo.make_job(demo.choose(demo.read_index(), count), path)
        except demo.DemoError as error:
            raise TextError(f"{error}. 'apt-get update' as root fills the package index") from None
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for line in lines:
            line["body"] = {"messages": line["body"]["messages"], "temperature": 0, "max_tokens": self.ANSWER}
        return lines

    def make(self, bench):
        path = bench.folder / f"{self.name}.jsonl"
        lines = self.lines(path, max(9, self.rows // bench.shrink))
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return path, lines

    def cases(self, bench):
        if "tokenizer.chat_template" not in bench.metadata:
            return []
        path = self.make(bench)[0]
        cases = [Case(self.name, path, ends_freely=True)]
        if self.rows // bench.shrink > 2 * ROWS_FIRST:
            cases.append(Case(f"{self.name}, begun", path, ends_freely=True, rows_first=ROWS_FIRST))
        return cases

    def measure(self, bench):
        path, lines = self.make(bench)
        raw = {"ours": [], "theirs": [], "same_texts": []}
        for turn in range(bench.pairs):
            def ours():
                raw["ours"].append(bench.jobs.run(path))

            def theirs():
                if bench.server:
                    raw["theirs"].append(bench.server.run([line["body"] for line in lines], self.CONTEXT))
            bench.in_turn(turn, ours, theirs)
            if bench.server:
                texts = raw["theirs"][-1].pop("texts")
                answers = bench.jobs.answers()
                raw["same_texts"].append(sum(answers[line["custom_id"]]["message"]["content"] == text
                                             for line, text in zip(lines, texts)))
        raw["check"] = bench.verify()
        return raw

    def figures(self, raw):
        out = []
        if raw["theirs"]:
            out += job_figures.against_server(raw["ours"], raw["theirs"], self.mark)
            out.append(job_figures.Figure("answers that are the server's too",
                                          f"{min(raw['same_texts'])} of {raw['ours'][0]['rows_total']}"))
        else:
            out.append(job_figures.speed_of(raw["ours"]))
        return out + [job_figures.recomputed(raw["ours"]), *job_figures.equal_alone(raw["check"])]


class Documents:
    name, about = "documents", "32 documents x 8 questions, shuffled, 32 tokens out"

    def cases(self, bench):
        return [Case(self.name, bench.write(self.name, job_rows.documents(bench.texts, bench.shrink)))]

    def measure(self, bench):
        rows = job_rows.documents(bench.texts, bench.shrink)
        path = bench.write(self.name, rows)
        lengths = sorted(len(row.prompt) for row in rows)
        # Prompts and batch as the job without sharing has them.
        shape = ("--prompt", lengths[len(lengths) // 2], "--generate", rows[0].answer, "--batch", min(64, len(rows)))
        raw = {"optimum": prefix_pages.distinct_tokens(prompts(rows)), "shared": [], "unshared": [], "rates": []}
        for turn in range(bench.pairs):
            bench.in_turn(turn, lambda: raw["shared"].append(bench.jobs.run(path)),
                          lambda: raw["unshared"].append(bench.jobs.run(path, "--no-share", out="unshared.jsonl")),
                          lambda: raw["rates"].append(bench.jobs.bench(*shape)))
        raw["check"] = bench.verify()
        return raw

    def figures(self, raw):
        run = raw["shared"][0]
        saved = saved_share(run, raw["optimum"])
        return [*job_figures.saved_arithmetic(raw["shared"], raw["unshared"], raw["rates"], raw["optimum"]),
                *job_figures.against_optimum(run, raw["optimum"], saved, 1.0),
                job_figures.recomputed(raw["shared"]), *job_figures.equal_alone(raw["check"])]


def saved_share(run, optimum):
    return prefix_pages.saved_share(run["prompt_tokens"], run["prompt_tokens_computed"], optimum)


class Mixed:
    name, about = "mixed", "128 rows of 1,500 tokens in and 8 out, then 128 of 60 in and 256 out"

    def cases(self, bench):
        return [Case(self.name, bench.write(self.name, job_rows.mixed(bench.texts, bench.shrink)))]

    def measure(self, bench):
        [case] = self.cases(bench)
        path = case.path
        raw = {"planned": [], "in_file_order": []}
        for turn in range(bench.pairs):
            bench.in_turn(turn, lambda: raw["planned"].append(bench.jobs.run(path, trace=True)),
                          lambda: raw["in_file_order"].append(
                              bench.jobs.run(path, "--file-order", out="in-file-order.jsonl", trace=True)))
        raw["check"] = bench.verify()
        return raw

    def figures(self, raw):
        return [job_figures.below_knee(raw["planned"], 0.03),
                job_figures.under("in the order of the file: ", job_figures.below_knee(raw["in_file_order"])),
                job_figures.against_file_order(raw["planned"], raw["in_file_order"]), job_figures.time_of(raw["planned"]),
                job_figures.recomputed(raw["planned"]), *job_figures.equal_alone(raw["check"])]


class SharedPrefix:
    name, about = "shared-prefix", "64 rows that begin alike, 16 tokens of their own, 33 out"
    OWN, ANSWER, ROWS = 16, 33, 64

    def prefixes(self, bench):
        return [prefix // bench.shrink for prefix in (1024, 4096, 16384)]

    def case(self, bench, prefix):
        rows = job_rows.one_prefix(bench.texts, prefix, self.ROWS, self.OWN, self.ANSWER)
        name = f"{self.name}-{prefix}"
        return Case(name, bench.write(name, rows), ("--context-length", prefix + self.OWN + self.ANSWER))

    def cases(self, bench):
        return [self.case(bench, prefix) for prefix in self.prefixes(bench)]

    def measure(self, bench):
        raw = {"shape": attention_shape(bench.metadata), "rows": self.ROWS, "prefixes": []}
        for prefix in self.prefixes(bench):
            case = self.case(bench, prefix)
            entry = {"prefix": prefix, "runs": [], "fp32_fma": []}
            for _ in range(bench.pairs):
                entry["runs"].append(bench.jobs.run(case.path, *case.options, trace=True))
                entry["fp32_fma"].append(bench.jobs.bench("--prompt", 1, "--generate", 1, "--batch", 1)["fp32_fma"])
            entry["check"] = bench.verify()
            raw["prefixes"].append(entry)
        return raw

    def figures(self, raw):
        out = []
        for entry in raw["prefixes"]:
            shares = [job_figures.attention_share(run["steps_traced"], raw["shape"], raw["rows"], entry["prefix"] + self.OWN, peak)
                      for run, peak in zip(entry["runs"], entry["fp32_fma"]) if "steps_traced" in run]
            out.append(job_figures.attention_of_peak(entry["prefix"], shares))
        runs = [run for entry in raw["prefixes"] for run in entry["runs"]]
        checks = [check for entry in raw["prefixes"] for check in entry["check"]]
        return out + [job_figures.recomputed(runs), *job_figures.equal_alone(checks)]


class Scarce:
    """A quarter of the KV memory in which everything would find room: every beginning once, every row's own."""
    name, about = "scarce", "the documents, and a job of three levels, at a quarter of the KV memory"

    def jobs(self, bench):
        """Of each: name, rows, the memory that they would like, and a case with plenty and with little of it."""
        for name, rows in (("documents", job_rows.documents(bench.texts, bench.shrink)),
                           ("three levels", job_rows.three_levels(bench.texts, bench.shrink))):
            path = bench.write(f"{self.name}-{name.replace(' ', '-')}", rows)
            context = max(len(row.prompt) + row.answer for row in rows)
            pages = prefix_pages.pages_of_all(prompts(rows), rows[0].answer)
            likes = pages * bench.jobs.kv_bytes(prefix_pages.PAGE)
            yield name, rows, likes, {
                key: Case(f"{self.name}, {name}, {key}", path, ("--context-length", context, "--kv-memory", likes // share))
                for key, share in (("plenty", 1), ("scarce", 4))}

    def cases(self, bench):
        return [case for *_, cases in self.jobs(bench) for case in cases.values()]

    def measure(self, bench):
        raw = {"jobs": []}
        for name, rows, likes, cases in self.jobs(bench):
            entry = {"name": name, "optimum": prefix_pages.distinct_tokens(prompts(rows)), "kv_bytes_liked": likes}
            for key, case in cases.items():
                entry[key] = bench.jobs.run(case.path, *case.options)
                entry[f"{key}_check"] = bench.verify()
            raw["jobs"].append(entry)
        return raw

    def figures(self, raw):
        out, checks = [], []
        for entry in raw["jobs"]:
            for key, mark in (("plenty", 1.0), ("scarce", 0.95)):
                run = entry[key]
                label = f"{entry['name']}, {run['kv_memory_bytes'] / 2**20:.0f} MiB: "
                saved = saved_share(run, entry["optimum"])
                found = job_figures.against_optimum(run, entry["optimum"], saved, mark) + [job_figures.recomputed([run])]
                out += [job_figures.under(label, figure) for figure in found]
                checks += entry[f"{key}_check"]
        return out + job_figures.equal_alone(checks)


class HalfMemory:
    """Answers whose lengths nobody knows beforehand, in half of the KV memory that sequences hold where there is plenty."""
    name, about = "half-memory", "512 rows with answers of 24 to 512 tokens, at half of the KV memory that they would like"
    WAYS = ("past-future", "reserve", "prompt")

    def prepare(self, bench):
        """The job whose lengths are known, which says what memory it would like, and the same with lengths that nobody
        knows; `known` is what became of the first where there is plenty."""
        rows = job_rows.heavy_tail(bench.texts, bench.shrink)
        context = max(len(row.prompt) for row in rows) + job_rows.TAIL_MAX
        # Who knows the lengths would begin with the longest: what that gains is not admission's.
        options = ("--context-length", context, "--file-order")
        told = bench.write(f"{self.name}-told", rows)
        liked = bench.jobs.kv_bytes(context) * 64
        known = bench.jobs.run(told, *options, "--kv-memory", liked, trace=True)
        texts = {name: answer["text"] for name, answer in bench.jobs.answers().items()}
        path = bench.write(self.name, job_rows.without_lengths(rows, texts))
        # A page of a row that alone is as long as the context fits in any case.
        half = max(known["kv_bytes_held_max"] // 2, bench.jobs.kv_bytes(context + prefix_pages.PAGE))
        return {"told": told, "path": path, "options": options, "liked": liked, "half": half, "known": known}

    def cases(self, bench):
        job = self.prepare(bench)
        scarce = (*job["options"], "--kv-memory", job["half"])
        begun = {"ends_freely": True, "rows_first": ROWS_FIRST}
        return [Case(f"{self.name}, plenty", job["path"], job["options"], ends_freely=True),
                Case(self.name, job["path"], scarce, ends_freely=True),
                Case(f"{self.name}, plenty, begun", job["path"], job["options"], **begun),
                Case(f"{self.name}, begun", job["path"], scarce, **begun)]

    def measure(self, bench):
        job = self.prepare(bench)
        options = (*job["options"], "--kv-memory", job["half"])
        raw = {"known": job["known"], "oracle": [], "ways": {way: [] for way in self.WAYS},
               "plenty": bench.jobs.run(job["path"], *job["options"], "--kv-memory", job["liked"])}
        for turn in range(bench.pairs):
            # Who reserves what each row really takes is told its length.
            bench.in_turn(turn, lambda: raw["oracle"].append(
                bench.jobs.run(job["told"], *options, "--admission", "reserve", out="oracle.jsonl")),
                *(lambda way=way: raw["ways"][way].append(
                    bench.jobs.run(job["path"], *options, "--admission", way, out=f"{way}.jsonl")) for way in self.WAYS))
        bench.jobs.out = bench.folder / "past-future.jsonl"
        raw["check"] = bench.verify()
        return raw

    def figures(self, raw):
        return [*job_figures.against_other_ways(raw["ways"], raw["oracle"], raw["known"]),
                job_figures.paused_share([raw["plenty"]]), *job_figures.equal_alone(raw["check"])]


class PlanMillion:
    name, about = "plan-1m", "planning 1,000,000 rows of 200 bytes"

    def cases(self, bench):
        return []  # nobody waits for its end

    def measure(self, bench):
        path = bench.folder / "million.jsonl"
        count = 1_000_000 // bench.shrink
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(job_rows.million_lines(count))
        return {"rows": count, "runs": [bench.jobs.plan(path) for _ in range(bench.pairs)]}

    def figures(self, raw):
        if raw["runs"][0] is None:
            return [job_figures.Figure("seconds", "needs `batchwright plan`")]
        return job_figures.planning(raw["runs"])


KINDS = [Demo(64, 10), Demo(512, 4), Documents(), Mixed(), SharedPrefix(), Scarce(), HalfMemory(), PlanMillion()]
