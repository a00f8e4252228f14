// Completes each prompt given on the command line, all of them together: examples/complete MODEL.gguf PROMPT...

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "batchwright/engine.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: complete MODEL.gguf PROMPT...\n");
    return 2;
  }
  batchwright::EngineOptions options;
  options.context_length = 1024;
  auto loaded = batchwright::Engine::load(argv[1], options);
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\n", loaded.status().message().c_str());
    return 1;
  }
  batchwright::Engine& engine = **loaded;

  const std::vector<std::string> prompts(argv + 2, argv + argc);
  for (size_t i = 0; i < prompts.size(); ++i) {
    batchwright::Request request;
    request.id = i;
    request.prompt = engine.tokenize(prompts[i], false);
    request.sampling.temperature = 0;
    request.max_tokens = 24;
    engine.submit(std::move(request));
  }
  while (engine.active() > 0) {
    auto done = engine.step();
    if (!done.ok()) {
      std::fprintf(stderr, "%s\n", done.status().message().c_str());
      return 1;
    }
    for (const batchwright::Completion& completion : *done) {
      const std::string& prompt = prompts[completion.id];
      if (completion.status.ok()) {
        std::printf("%s%s\n", prompt.c_str(), completion.choices[0].text.c_str());
      } else {
        std::printf("%s: %s\n", prompt.c_str(), completion.status.message().c_str());
      }
    }
  }
  return 0;
}
