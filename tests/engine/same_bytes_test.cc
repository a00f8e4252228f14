// The second promise: what a request gives depends neither on what it was batched with, nor on how, nor by what.

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "batchwright/engine.h"
#include "platform/cpu.h"
#include "text/vocabulary.h"

namespace batchwright {
namespace {

// The same request with an answer out of a list; some strings are the beginnings of others, some long and alone.
Request listed_request(uint64_t id, Request r, std::mt19937& random, const std::vector<TokenId>& plain) {
  r.id = id;
  r.min_tokens = 0;
  r.ignore_eos = false;
  r.stop_strings.clear();
  std::set<std::vector<TokenId>> all;
  for (size_t count = 1 + random() % 8; all.size() < count;) {
    std::vector<TokenId> one;
    for (size_t t = 1 + random() % 4; t > 0; --t) one.push_back(plain[random() % 3]);
    for (size_t t = random() % 4 == 0 ? 70 : 0; t > 0; --t) one.push_back(plain[random() % plain.size()]);
    all.insert(std::move(one));
  }
  AllowedAnswers answers;
  r.max_tokens = 1;
  for (const auto& tokens : all) {
    answers.push_back({"answer " + std::to_string(answers.size()), tokens});
    r.max_tokens = std::max(r.max_tokens, static_cast<int>(tokens.size()));
  }
  r.allowed_answers = std::make_shared<const AllowedAnswers>(std::move(answers));
  r.answer_logprobs = id % 2 == 0;
  return r;
}

constexpr uint64_t kListed = 24;
constexpr uint64_t kRequests = 64 + kListed;

// 64 requests of different lengths, with common beginnings, greedy and sampled, n of 1 and 3, with and without
// log-probabilities, penalties, filters, stop strings; then kListed with answers out of lists.
std::vector<Request> sample_requests(const Vocabulary& vocabulary) {
  std::mt19937 random(20240607);
  std::vector<TokenId> plain;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.type(id) == TokenType::kNormal) plain.push_back(id);
  }
  const auto token = [&] { return plain[random() % plain.size()]; };
  std::vector<TokenId> common;
  for (int i = 0; i < 150; ++i) common.push_back(token());

  std::vector<Request> requests;
  for (uint64_t i = 0; i < 64; ++i) {
    Request r;
    r.id = i;
    if (i % 3 != 0) r.prompt.assign(common.begin(), common.begin() + static_cast<ptrdiff_t>(20 + random() % 130));
    const size_t own = 1 + random() % (i % 8 == 0 ? 120 : 30);
    for (size_t t = 0; t < own; ++t) r.prompt.push_back(token());
    r.max_tokens = 1 + static_cast<int>(random() % 24);
    r.ignore_eos = i % 5 == 0;
    if (i % 10 == 5) r.max_tokens = 150;
    r.sampling.temperature = i % 2 == 0 ? 0.0F : 0.9F;
    r.sampling.seed = 1000 + i;
    if (i % 4 == 1) r.n = 3;
    if (i % 6 == 3) r.sampling.top_k = 20;
    if (i % 6 == 5) r.sampling.top_p = 0.8F;
    if (i % 7 == 2) {
      r.sampling.repetition_penalty = 1.2F;
      r.sampling.frequency_penalty = 0.3F;
    }
    if (i % 9 == 4) r.top_logprobs = 3;
    if (i % 16 == 7) r.prompt_logprobs = true;
    if (i % 11 == 6) r.min_tokens = 5;
    if (i % 13 == 8) r.stop_strings = {"e"};
    requests.push_back(std::move(r));
  }
  for (uint64_t i = 64; i < 64 + kListed; ++i) requests.push_back(listed_request(i, requests[i - 64], random, plain));
  return requests;
}

void print(std::ostream& out, const TokenLogprobs& logprobs) {
  out << ' ' << logprobs.chosen.token << ':' << std::bit_cast<uint32_t>(logprobs.chosen.logprob);
  for (const TokenLogprob& top : logprobs.top) out << '/' << top.token << ':' << std::bit_cast<uint32_t>(top.logprob);
}

// Every bit of a completion that a user can see.
std::string fingerprint(const Completion& c) {
  std::ostringstream out;
  out << c.id << ' ' << static_cast<int>(c.status.code()) << ' ' << c.status.message() << " prompt " << c.prompt_tokens;
  for (const TokenLogprobs& logprobs : c.prompt_logprobs) print(out, logprobs);
  for (const AnswerLogprob& answer : c.answer_logprobs) {
    out << ' ' << answer.text << ':' << std::bit_cast<uint32_t>(answer.logprob) << '/'
        << std::bit_cast<uint32_t>(answer.probability);
  }
  for (const Choice& choice : c.choices) {
    out << " |" << static_cast<int>(choice.finish_reason) << ' ' << choice.generated_tokens << ' ' << choice.text;
    for (const TokenId id : choice.tokens) out << ' ' << id;
    for (const TokenLogprobs& logprobs : choice.logprobs) print(out, logprobs);
  }
  return out.str();
}

// Sanitizers slow the arithmetic by an order of magnitude: there one model of each family, and no scalar products.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct Setting {
  std::string name;
  EngineOptions options;
  bool shuffle = false;
  bool host_flushes = false;  // the caller's thread flushes subnormals and rounds up
  int expected_tokens = -1;   // what the engine is told about the answers' lengths
  int reused_tokens = -1;     // and about the prompts to come
};

std::map<uint64_t, std::string> run(const std::string& model, const Setting& setting, EngineStats* stats = nullptr) {
  constexpr unsigned kFlushAndRoundUp = 0x1f80 | 0x8040 | 0x4000;
  struct Restore {
    unsigned control = _mm_getcsr();
    ~Restore() { _mm_setcsr(control); }
  } restore;
  if (setting.host_flushes) _mm_setcsr(kFlushAndRoundUp);
  auto engine = Engine::load(model, setting.options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  if (!engine.ok()) return {};
  auto requests = sample_requests((*engine)->vocabulary());
  if (setting.shuffle) std::shuffle(requests.begin(), requests.end(), std::mt19937(5));
  for (Request& request : requests) {
    request.expected_tokens = setting.expected_tokens;
    request.reused_tokens = setting.reused_tokens;
    (*engine)->submit(std::move(request));
  }
  std::map<uint64_t, std::string> out;
  while ((*engine)->active() > 0) {
    auto done = (*engine)->step();
    EXPECT_TRUE(done.ok()) << done.status().message();
    if (!done.ok()) return {};
    for (const Completion& completion : *done) {
      EXPECT_TRUE(out.emplace(completion.id, fingerprint(completion)).second);
    }
  }
  if (stats != nullptr) *stats = (*engine)->stats();
  return out;
}

EngineOptions plenty() {
  EngineOptions options;
  options.threads = 2;
  options.context_length = 512;
  options.kv_memory_bytes = size_t{64} << 20;
  return options;
}

class SameBytes : public testing::TestWithParam<const char*> {
 protected:
  std::string path() const { return std::string(BATCHWRIGHT_TINY_MODELS) + "/" + GetParam() + ".gguf"; }
};

// "13.42MiB" and the like, as options take them.
size_t size_at(const std::string& text, size_t at) {
  size_t unit = 0;
  const double number = std::stod(text.substr(at), &unit);
  const auto is_unit = [&](const char* name) { return text.substr(at + unit).starts_with(name); };
  return static_cast<size_t>(number * (is_unit("KiB") ? 0x1p10 : is_unit("MiB") ? 0x1p20 : 1));
}

TEST_P(SameBytes, InEverySetting) {
  std::vector<Setting> settings;
  const auto add = [&](const std::string& name, auto&& change) {
    Setting& s = settings.emplace_back(Setting{name, plenty()});
    change(s);
  };
  add("one sequence at a time", [](Setting& s) { s.options.max_batch = 1; });
  add("three sequences", [](Setting& s) { s.options.max_batch = 3; });
  add("budget 16", [](Setting& s) { s.options.max_batch = 3, s.options.max_batch_tokens = 16; });
  add("budget 64", [](Setting& s) { s.options.max_batch_tokens = 64; });
  add("prefill first", [](Setting& s) { s.options.prefill_first = true; });
  add("one thread", [](Setting& s) { s.options.threads = 1; });
  add("three threads", [](Setting& s) { s.options.threads = 3; });
  add("shuffled", [](Setting& s) { s.shuffle = true; });
  add("a host that flushes", [](Setting& s) { s.host_flushes = true; });
  add("nothing shared", [](Setting& s) { s.options.share_prefixes = false; });
  add("scarce memory", [](Setting& s) { s.options.kv_memory_bytes = 1; });
  add("wrong hints", [](Setting& s) { s.options.kv_memory_bytes = 1, s.reused_tokens = 130; });
  add("more than expected", [](Setting& s) { s.options.kv_memory_bytes = 1, s.expected_tokens = 0; });
  for (const Isa isa : all_isas()) {
    if (!machine_has(isa)) {
      std::printf("skipped: this machine has no %s\n", isa_name(isa));
      continue;
    }
    if (kSanitized && isa == Isa::kScalar) continue;
    add(isa_name(isa), [&](Setting& s) { s.options.isa = isa_name(isa); });
  }

  EngineStats shared;
  const auto expected = run(path(), {"reference", plenty()}, &shared);
  ASSERT_EQ(expected.size(), kRequests);
  for (const auto& [id, line] : expected) ASSERT_NE(line.find(" 0  prompt"), std::string::npos) << line;
  EXPECT_LT(shared.prompt_tokens_computed, shared.prompt_tokens) << "the common beginnings are meant to be shared";
  for (Setting& setting : settings) {
    EngineStats stats;
    if (setting.options.kv_memory_bytes == 1) {
      // The error says what one sequence needs: take just that.
      auto refused = Engine::load(path(), setting.options);
      ASSERT_FALSE(refused.ok());
      const std::string& message = refused.status().message();
      const size_t at = message.find("needs ");
      ASSERT_NE(at, std::string::npos) << message;
      setting.options.kv_memory_bytes = size_at(message, at + 6);
    }
    const auto got = run(path(), setting, &stats);
    for (const auto& [id, line] : expected) {
      const auto it = got.find(id);
      ASSERT_NE(it, got.end()) << setting.name;
      ASSERT_EQ(it->second, line) << setting.name;
    }
    if (setting.name == "more than expected") {
      EXPECT_GT(stats.preemptions, 0);
    } else {
      EXPECT_EQ(stats.preemptions, 0) << setting.name;
    }
  }
}

std::vector<const char*> models() {
  if (kSanitized) return {"tiny-qwen2-legacy", "tiny-gemma3-f32"};
  return {"tiny-qwen2-f32", "tiny-qwen2-legacy", "tiny-qwen2-k", "tiny-gemma3-f32", "tiny-gemma3-q8_0"};
}

INSTANTIATE_TEST_SUITE_P(Tiny, SameBytes, testing::ValuesIn(models()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace batchwright
