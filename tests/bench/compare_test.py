#!/usr/bin/env python3
"""compare_test.py BINARY MODEL: bench/compare reads recorded outputs, and makes the right figures, table and chart."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import figures  # noqa: E402
import peers  # noqa: E402
import table  # noqa: E402
from peers import LLAMA, OPENVINO, OURS, Work  # noqa: E402

BINARY, MODEL = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

# Recorded: llama-batched-bench -npp 1024 -ntg 32 -npl 64 -pps -kvu --output-format jsonl; its -v; its --version.
LLAMA_LINE = """
{"n_kv_max": 73728, "n_batch": 2048, "n_ubatch": 512, "flash_attn": -1, "is_pp_shared": 1, "n_gpu_layers": -1, \
"n_threads": 2, "n_threads_batch": 2, "pp": 1024, "tg": 32, "pl": 64, "n_kv": 3072, "t_pp": 1.6, "speed_pp": 640.0, \
"t_tg": 10.24, "speed_tg": 200.0, "t": 11.84, "speed": 259.459459}

"""
LLAMA_LOG = ("0.00.035.984 I load_backend: loaded CPU backend from /opt/llama/libggml-cpu-zen4.so\n"
             "0.00.125.574 I llama_model_loader: loaded meta data with 33 key-value pairs\n")
LLAMA_VERSION = "version: 0.6.0-dev (build 0, commit unknown)\nbuilt with GNU 12.2.0 for Linux x86_64\n"

# A model of 4 x 3 in the layers and a vocabulary of 8, once tied and once with an output matrix of its own.
TENSORS = [{"name": "token_embd.weight", "shape": [4, 8], "bytes": 40}, {"name": "blk.0.ffn_up.weight", "shape": [4, 3], "bytes": 10},
           {"name": "blk.0.attn_norm.weight", "shape": [4], "bytes": 16}]
OUTPUT = {"name": "output.weight", "shape": [4, 8], "bytes": 25}

PEAKS = {"int8_maddubs_madd": 200e9, "int8_maddubs_add16": 400e9, "int8_avxvnni": 500e9, "int8_vnni": 1000e9,
         "fp32_fma": 100e9, "read_bytes_per_second": 40e9}
WEIGHTS = {"prefill_multiply_adds": 400_000_000, "decode_multiply_adds": 500_000_000, "step_bytes": 400_000_000}


def check(condition, *what):
    assert condition, what


def close(got, expected):
    check(abs(got - expected) <= 1e-9 * abs(expected), got, expected)


def reading():
    shared = Work("shared prefix", 64, 1025, 31, 1024)
    check(shared.tokens == 1024 + 64 * 32 and shared.prompt_tokens == 1024 + 64, shared)
    got = peers.read_llama(LLAMA_LINE, shared)
    check(got["prefill"] == 640 and got["decode"] == 200, got)
    close(got["whole"], 3072 / 11.84)
    for wrong in ("", LLAMA_LINE + LLAMA_LINE, LLAMA_LINE.replace('"pl": 64', '"pl": 4')):
        try:
            peers.read_llama(wrong, shared)
        except peers.RunError:
            continue
        check(False, "read", wrong)
    check(peers.read_llama_variant(LLAMA_LOG) == "zen4")
    check(peers.read_llama_variant("nothing of the kind") == "built in")
    check(peers.read_llama_version(LLAMA_VERSION) == "0.6.0-dev (build 0, commit unknown)")
    check(peers.read_llama_version("") == "unknown")
    work = Work("batch", 16, 64, 32)
    ours = {"results": [{"batch": 16, "prefill_tokens_per_second": 1024.0, "decode_tokens_per_second": 256.0,
                         "prefill_seconds": 1.0, "decode_seconds": 2.0}]}
    check(peers.read_batchwright(ours, work) == {"prefill": 1024.0, "decode": 256.0, "whole": 512.0})


def run_of(ours, theirs):
    return {OURS: {"decode": ours}, LLAMA: {"decode": theirs}}


def ratios():
    runs = [run_of(300, 100), run_of(310, 100), run_of(200, 100), run_of(305, 100)]
    check(figures.pairs(runs, LLAMA, "decode") == [3.0, 3.1, 2.0, 3.05])
    check(figures.pairs(runs, LLAMA, "prefill") == [] and figures.pairs(runs, OPENVINO, "decode") == [])
    check(figures.spread([3.0]) == float("inf") and figures.spread([2.0, 2.0]) == 0)
    close(figures.spread([1.0, 2.0, 3.0]), 0.5)
    # One run that was disturbed does not keep a ratio from being steady; two of four do.
    steady = [run_of(300, 100)] * 5
    check(figures.is_steady(steady + runs[2:3], [LLAMA], 0.01))
    check(not figures.is_steady(runs[2:], [LLAMA], 0.05))
    check(figures.speed(runs, OURS, "decode") == 302.5 and figures.speed(runs, OURS, "whole") is None)


def limits():
    tied = figures.weights({"tensors": TENSORS})
    check(tied == {"prefill_multiply_adds": 12, "decode_multiply_adds": 44, "step_bytes": 50}, tied)
    own = figures.weights({"tensors": [*TENSORS, OUTPUT]})
    check(own == {"prefill_multiply_adds": 12, "decode_multiply_adds": 44, "step_bytes": 35}, own)
    check(figures.int8_peak(PEAKS, "avx2") == 400e9 and figures.int8_peak(PEAKS, "vnni") == 1000e9)
    check(figures.int8_peak(PEAKS, "avxvnni") == 500e9 and figures.int8_peak({}, "avx2") == 0)
    of = figures.Limits(PEAKS, "vnni", WEIGHTS)
    # Memory bounds up to 20 sequences: 100 tokens/s each; then the multiply-adds do: 2000 tokens/s.
    check(of.decode(1) == 100 and of.decode(16) == 1600 and of.decode(64) == 2000)
    work = Work("batch", 16, 64, 32)
    check(of.prefill(work) == 2500 and of.int8_share("prefill", 1250) == 0.5 and of.bandwidth_share(16, 400) == 0.25)
    close(of.whole(work), (1024 + 512) / (1024 / 2500 + 512 / 1600))


def recorded(programs):
    """Raw figures as bench/compare writes them: five batches and a shared prefix, three runs of each."""
    works = [Work("batch", batch, 64, 32) for batch in (1, 4, 16, 64, 128)] + [Work("shared prefix", 64, 1025, 31, 1024)]
    speeds = {OURS: lambda b: {"prefill": 1300.0, "decode": 75.0 * b / (1 + b / 14), "whole": 600.0},
              LLAMA: lambda b: {"prefill": 310.0, "decode": 50.0 * b / (1 + b / 4.2), "whole": 250.0},
              OPENVINO: lambda b: {"whole": 340.0}}
    entries = [{"work": dataclasses.asdict(work),
                "runs": [{name: speeds[name](work.batch) for name in programs} for _ in range(3)]} for work in works]
    return {"model": {"name": "a<b>&c.gguf", "types": "Q4_K 100%"}, "machine": {"processor": "A processor", "threads": 2},
            "weights": WEIGHTS, "peaks": PEAKS, "spread": 0.05, "notes": [], "works": entries,
            "programs": {name: {"version": "1", "isa": "vnni"} for name in programs}}


def texts():
    raw = json.loads(json.dumps(recorded([OURS, LLAMA])))
    lines = table.markdown(raw, "x.svg").splitlines()
    check("| batch 1 | 1 | prefill | 1,300 | 310 | 4.19 | 4.19 - 4.19 | 3 | 52% |  |" in lines, lines)
    check("| batch 1 | 1 | decode | 70.0 | 40.4 | 1.73 | 1.73 - 1.73 | 3 | 4% | 70% |" in lines, lines)
    check(sum(line.startswith("| batch ") for line in lines) == 10, lines)
    check(sum(line.startswith("| shared prefix") for line in lines) == 3, lines)
    # A ratio that is not steady is marked.
    raw["works"][0]["runs"][0][OURS]["decode"] *= 2
    raw["works"][0]["runs"][1][OURS]["decode"] *= 3
    check("| ~3.47 | 1.73 - 5.20 |" in table.markdown(raw, "x.svg"))

    for programs in ([OURS, LLAMA], [OURS, LLAMA, OPENVINO], [OURS, OPENVINO]):
        raw = recorded(programs)
        svg = table.svg(raw)
        tree = xml.etree.ElementTree.fromstring(svg)
        width, height = float(tree.get("width")), float(tree.get("height"))
        tag = "{http://www.w3.org/2000/svg}"
        circles = [mark for mark in tree.iter(f"{tag}circle")]
        check(all(0 <= float(c.get("cx")) <= width and 0 <= float(c.get("cy")) <= height for c in circles), programs)
        dashed = [line for line in tree.iter(f"{tag}polyline") if line.get("stroke-dasharray")]
        check(len(dashed) == (3 if OPENVINO in programs else 2), len(dashed))
        # Five batches a line, and the legend's mark of each program.
        both = sum(3 if name != OPENVINO else 1 for name in programs) if OPENVINO in programs else 4
        check(len(circles) == 5 * both + len(programs), programs, len(circles))
        rows = [line for line in table.markdown(raw, "x.svg").splitlines() if line.startswith("| batch 64 |")]
        check(sum("in + out" in row for row in rows) == (OPENVINO in programs), rows)
    raw = recorded([OURS, LLAMA])
    raw["works"] = raw["works"][2:3]
    xml.etree.ElementTree.fromstring(table.svg(raw))


def whole_program():
    """With the real program, a tiny model, and a llama-batched-bench that replays what it is asked for."""
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        folder = pathlib.Path(name)
        llama = folder / "llama"
        llama.mkdir()
        for variant in ("haswell", "zen4"):
            (llama / f"libggml-cpu-{variant}.so").write_text("")
        replay = llama / "llama-batched-bench"
        replay.write_text(f"""#!{sys.executable}
import json, os, pathlib, sys
if "--version" in sys.argv:
    sys.exit(print({LLAMA_VERSION!r}, file=sys.stderr))
value = lambda option: int(sys.argv[sys.argv.index(option) + 1])
if "-v" in sys.argv:
    for path in pathlib.Path(sys.argv[0]).parent.glob("libggml-cpu-*.so"):
        print(f"load_backend: loaded CPU backend from {{path}}", file=sys.stderr)
print(json.dumps({{"pl": value("-npl"), "speed_pp": value("-npp"), "speed_tg": value("-ntg"), "t": 2.0,
                  "is_pp_shared": int("-pps" in sys.argv)}}))
""", encoding="utf-8")
        replay.chmod(0o755)
        options = ["--llama-cpp", llama, "--llama-variant", "haswell", "--binary", BINARY, "--threads", 1, "--prompt", 8,
                   "--generate", 4, "--batch", "2", "--shared-prefix", 128, "--shared-batch", 3, "--single", 0,
                   "--runs-min", 1, "--runs-max", 1, "--out", folder / "figures" / "out"]
        command = [sys.executable, "-B", ROOT / "bench" / "compare", MODEL, *options]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        check(done.returncode == 0, done.stderr)
        raw = json.loads((folder / "figures" / "out.json").read_text(encoding="utf-8"))
        check(raw["programs"][LLAMA] == {"version": "0.6.0-dev (build 0, commit unknown)", "isa": "haswell"}, raw)
        batch, shared = raw["works"]
        check(batch["runs"][0][LLAMA]["prefill"] == 8 and batch["runs"][0][LLAMA]["decode"] == 4, batch)
        # 128 shared, 3 sequences of a token of their own and 3 more: for the peer 128 in and 4 out.
        check(shared["runs"][0][LLAMA] == {"prefill": 128, "decode": 4, "whole": (128 + 3 * 4) / 2}, shared)
        check(all(value > 0 for work in raw["works"] for value in work["runs"][0][OURS].values()), raw)
        check(done.stdout.strip() == (folder / "figures" / "out.md").read_text(encoding="utf-8").strip())
        xml.etree.ElementTree.parse(folder / "figures" / "out.svg")

        command[command.index("haswell")] = "cray"
        refused = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        check(refused.returncode == 1 and "it has haswell, zen4" in refused.stderr, refused.stderr)


reading()
ratios()
limits()
texts()
whole_program()
print("outputs are read, ratios and limits are right, table and chart are whole")
