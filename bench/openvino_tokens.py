#!/usr/bin/env python3
"""Runs some sequences through OpenVINO GenAI's ContinuousBatchingPipeline; prints one JSON object.

  openvino_tokens.py MODEL.gguf BATCH PROMPT SHARED GENERATE THREADS

Needs the package openvino-genai. The sequences are of random tokens, the first SHARED of each prompt in common. Printed
are {"version", "seconds"} - all sequences from the first prompt's first token to the last generated one, after one run
of the same form to warm up - or {"version", "refused"} where OpenVINO does not read the file.
"""

import json
import random
import sys
import time


def main():
    import numpy
    import openvino
    import openvino_genai

    model = sys.argv[1]
    batch, prompt, shared, generate, threads = map(int, sys.argv[2:])
    version = openvino_genai.__version__

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.max_num_seqs = batch
    scheduler.max_num_batched_tokens = 512
    scheduler.enable_prefix_caching = shared > 0
    scheduler.cache_size = 2 + batch * (prompt + generate) // 50000  # GB
    properties = {"INFERENCE_NUM_THREADS": threads, "KV_CACHE_PRECISION": openvino.Type.f16}
    try:
        pipeline = openvino_genai.ContinuousBatchingPipeline(model, scheduler, "CPU", properties)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        print(json.dumps({"version": version, "refused": lines[-1] if lines else "no reason given"}))
        return

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = generate + 1  # the prompt's last position gives the first
    config.ignore_eos = True
    config.do_sample = False
    seeded = random.Random(1)

    def run():
        # Below every vocabulary's size, above the tokens with a meaning of their own.
        draw = lambda count: [seeded.randrange(1000, 30000) for _ in range(count)]
        prefix = draw(shared)
        prompts = [openvino.Tensor(numpy.array([prefix + draw(prompt - shared)], dtype=numpy.int64))
                   for _ in range(batch)]
        begin = time.perf_counter()
        results = pipeline.generate(prompts, [config] * batch)
        seconds = time.perf_counter() - begin
        lengths = {len(result.m_generation_ids[0]) for result in results}
        if lengths != {generate + 1}:
            sys.exit(f"OpenVINO generated {sorted(lengths)} tokens instead of {generate + 1}")
        return seconds

    run()
    print(json.dumps({"version": version, "seconds": run()}))


if __name__ == "__main__":
    main()
