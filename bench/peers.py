"""Batchwright and the engines beside it: each runs a piece of work in a process of its own and says how fast it was."""

import dataclasses
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile

OURS = "batchwright"
LLAMA = "llama.cpp"
OPENVINO = "OpenVINO GenAI"

# llama.cpp's variants of the processors that have no more than the instruction set.
LLAMA_VARIANTS = {"avx2": "haswell", "avx512": "skylakex"}

# What one run gives, all in tokens a second over all sequences together: prompts, generation after them, and both from
# the first token in to the last one out. A program that does not tell the first two apart gives the third alone.
PHASES = ("prefill", "decode", "whole")


class RunError(Exception):
    """A program could not be run, or said what was not understood."""


class Refused(Exception):
    """A program runs, but not with this model."""


@dataclasses.dataclass(frozen=True)
class Work:
    """`batch` sequences; `prompt` tokens in, of which the first `shared` are common to all; `generate` steps after."""
    kind: str  # "batch", "shared prefix" or "single stream"
    batch: int
    prompt: int
    generate: int
    shared: int = 0

    @property
    def name(self):
        return f"batch {self.batch}" if self.kind == "batch" else self.kind

    @property
    def prompt_tokens(self):
        return self.shared + self.batch * (self.prompt - self.shared)

    @property
    def tokens(self):
        return self.prompt_tokens + self.batch * self.generate


def call(command, accept=(0,), **options):
    """Runs a command; exit codes other than those accepted are errors."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **options)
    except OSError as error:
        raise RunError(f"{command[0]}: {error.strerror}") from error
    if done.returncode not in accept:
        last = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-5:])
        raise RunError(f"{' '.join(command)}\nended with {done.returncode}:\n{last}")
    return done


def processor_name():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class Batchwright:
    name = OURS

    def __init__(self, binary, model, threads, isa):
        self.binary, self.model, self.threads = binary, model, threads
        self.wanted = isa
        self.isa = isa or "?"
        self.version = call([binary, "--version"]).stdout.strip().removeprefix("batchwright ")
        self.peaks = {}  # the best that any run measured

    def inspect(self):
        return json.loads(call([self.binary, "inspect", self.model, "--json"]).stdout)

    def run(self, work):
        command = [self.binary, "bench", "-m", self.model, "--prompt", work.prompt, "--shared-prefix", work.shared,
                   "--generate", work.generate, "--batch", work.batch, "--threads", self.threads, "--json"]
        if self.wanted:
            command += ["--isa", self.wanted]
        out = json.loads(call(command).stdout)
        self.isa = out["isa"]
        for name, peak in out["peaks"].items():
            self.peaks[name] = max(peak, self.peaks.get(name, 0))
        return read_batchwright(out, work)


def read_batchwright(out, work):
    result, = out["results"]
    seconds = result["prefill_seconds"] + result["decode_seconds"]
    return {"prefill": result["prefill_tokens_per_second"], "decode": result["decode_tokens_per_second"],
            "whole": work.tokens / seconds}


class LlamaCpp:
    name = LLAMA

    def __init__(self, folder, model, threads, variant="", version=""):
        self.model, self.threads = model, threads
        self.copy = None
        self.folder = folder
        if not (folder / "llama-batched-bench").exists():
            raise RunError(f"{folder} has no llama-batched-bench")
        if variant:
            self.copy = tempfile.TemporaryDirectory(prefix="batchwright-compare-")
            self.folder = folder_of_variant(folder, variant, pathlib.Path(self.copy.name))
        said = call([self.folder / "llama-batched-bench", "--version"], **self.environment())
        self.version = version or read_llama_version(said.stdout + said.stderr)
        tiny = Work("probe", 1, 1, 1)
        probe = call(self.command(tiny) + ["-v"], **self.environment())
        self.isa = read_llama_variant(probe.stdout + probe.stderr)
        if variant and self.isa != variant:
            raise RunError(f"llama.cpp took its variant {self.isa} instead of {variant}")

    def environment(self):
        return {"cwd": self.folder, "env": dict(os.environ, LD_LIBRARY_PATH=str(self.folder))}

    def command(self, work):
        # batched-bench feeds a token of each sequence's own in every step, the first included; ours counts that one to
        # the prompt. So a shared prefix and nothing after it, and a step more, is the same work.
        own = work.prompt - work.shared if work.shared else 0
        prompt = work.shared or work.prompt
        context = max(256, work.batch * (work.prompt + work.generate + 8))
        command = [self.folder / "llama-batched-bench", "-m", self.model, "-c", context, "-b", 2048, "-ub", 512,
                   "-t", self.threads, "-npp", prompt, "-ntg", work.generate + own, "-npl", work.batch,
                   "--output-format", "jsonl"]
        # In one KV cache for all a shared prompt stands once: faster than a copy for each.
        return command + (["-pps", "-kvu"] if work.shared else [])

    def run(self, work):
        return read_llama(call(self.command(work), **self.environment()).stdout, work)


def read_llama(text, work):
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if len(lines) != 1 or lines[0].get("pl") != work.batch:
        raise RunError(f"llama-batched-bench gave {len(lines)} results instead of one for {work.batch} sequences")
    line = lines[0]
    return {"prefill": line["speed_pp"], "decode": line["speed_tg"], "whole": work.tokens / line["t"]}


def read_llama_version(text):
    found = re.search(r"^version: (.*)$", text, re.MULTILINE)
    return found[1] if found else "unknown"


def read_llama_variant(text):
    """The processor for which the backend that was loaded was compiled: "haswell", "zen4"..."""
    found = re.findall(r"loaded CPU backend from \S*?libggml-cpu-([\w.-]+)\.so", text)
    return found[-1] if found else "built in"


def folder_of_variant(folder, variant, at, program="llama-batched-bench"):
    """A folder like `folder` in which llama.cpp's `program` finds one variant of its CPU backend alone."""
    variants = {path.name.removeprefix("libggml-cpu-").removesuffix(".so"): path
                for path in folder.glob("libggml-cpu-*.so")}
    if variant not in variants:
        raise RunError(f"{folder} has no variant {variant}; it has {', '.join(sorted(variants)) or 'none'}")
    for path in folder.iterdir():
        if path in variants.values() and path != variants[variant]:
            continue
        # It looks for variants beside the file that a link to the program leads to.
        if path.name == program:
            shutil.copy(path.resolve(), at / path.name)
        else:
            (at / path.name).symlink_to(path.resolve())
    return at


class OpenVino:
    name = OPENVINO

    def __init__(self, python, model, threads, isa):
        self.python, self.model, self.threads = python, model, threads
        # ONEDNN_MAX_CPU_ISA, which would hold it to one, makes release 2026.4 fail.
        self.isa = f"its choice, not held to {isa}" if isa else "its choice"
        self.version = "?"
        self.run(Work("probe", 1, 1, 1))

    def run(self, work):
        script = pathlib.Path(__file__).with_name("openvino_tokens.py")
        done = call([self.python, "-B", script, self.model, work.batch, work.prompt, work.shared, work.generate,
                     self.threads])
        out = json.loads(done.stdout.splitlines()[-1])
        self.version = out["version"]
        if "refused" in out:
            raise Refused(out["refused"])
        return {"whole": work.tokens / out["seconds"]}
