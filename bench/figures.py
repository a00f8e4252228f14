"""From runs to figures: ratios of pairs, when they are steady, and what the machine could do at most."""

import statistics

from peers import OURS, PHASES


def pairs(runs, peer, phase):
    """Our speed over the peer's, of the runs that stood side by side."""
    return [run[OURS][phase] / run[peer][phase] for run in runs if phase in run.get(peer, {})]


def spread(values):
    """The interquartile range as a share of the median."""
    if len(values) < 2:
        return float("inf")
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def is_steady(runs, peers, bound):
    return all(spread(pairs(runs, peer, phase)) <= bound
               for peer in peers for phase in PHASES if pairs(runs, peer, phase))


def speed(runs, program, phase):
    """The median of a program's runs; None where it does not tell."""
    values = [run[program][phase] for run in runs if phase in run.get(program, {})]
    return statistics.median(values) if values else None


def weights(inspected):
    """What a token costs by the model's file: multiply-adds with weights, and bytes of weights read in a step."""
    matrices = [t for t in inspected["tensors"] if len(t["shape"]) == 2]
    names = {t["name"] for t in matrices}
    output = "output.weight" if "output.weight" in names else "token_embd.weight"
    size = lambda t: t["shape"][0] * t["shape"][1]
    body = [t for t in matrices if t["name"] not in ("output.weight", "token_embd.weight")]
    head = [t for t in matrices if t["name"] == output]
    return {"prefill_multiply_adds": sum(map(size, body)), "decode_multiply_adds": sum(map(size, body + head)),
            "step_bytes": sum(t["bytes"] for t in body + head)}


def int8_peak(peaks, isa):
    """The fastest int8 multiply-adds that were measured with what the instruction set has."""
    names = ["int8_maddubs_madd", "int8_maddubs_add16"]
    if isa in ("avxvnni", "vnni", "amx"):
        names.append("int8_avxvnni" if isa == "avxvnni" else "int8_vnni")
    return max(peaks.get(name, 0) for name in names)


class Limits:
    """Tokens a second that the machine could reach if nothing but products with weights took time."""

    def __init__(self, peaks, isa, weights):
        self.int8 = int8_peak(peaks, isa)
        self.bandwidth = peaks["read_bytes_per_second"]
        self.weights = weights

    def compute(self, phase):
        return self.int8 / self.weights[f"{phase}_multiply_adds"]

    def memory(self, batch):
        return self.bandwidth * batch / self.weights["step_bytes"]

    def decode(self, batch):
        return min(self.compute("decode"), self.memory(batch))

    def prefill(self, work):
        # 512 tokens share a pass over the weights, as both programs have it.
        return min(self.compute("prefill"), self.memory(min(512, work.prompt_tokens)))

    def whole(self, work):
        steps = work.batch * work.generate / self.decode(work.batch)
        return work.tokens / (work.prompt_tokens / self.prefill(work) + steps)

    def of(self, phase, work):
        return self.decode(work.batch) if phase == "decode" else getattr(self, phase)(work)

    def int8_share(self, phase, tokens_per_second):
        return tokens_per_second / self.compute(phase)

    def bandwidth_share(self, batch, tokens_per_second):
        return tokens_per_second / self.memory(batch)
