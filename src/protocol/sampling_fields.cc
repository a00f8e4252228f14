#include "protocol/sampling_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/hash.h"

namespace batchwright {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

void read_number(BodyReader& body, std::string_view name, double lowest, double highest, float& out,
                 bool lowest_excluded = false) {
  if (const auto value = body.number(name, lowest, highest, lowest_excluded)) out = static_cast<float>(*value);
}

void read_distribution(BodyReader& body, SamplingParams& out) {
  read_number(body, "temperature", 0, 100, out.temperature);
  read_number(body, "top_p", 0, 1, out.top_p, true);
  read_number(body, "min_p", 0, 1, out.min_p);
  read_number(body, "repetition_penalty", 0, 100, out.repetition_penalty, true);
  read_number(body, "presence_penalty", -2, 2, out.presence_penalty);
  read_number(body, "frequency_penalty", -2, 2, out.frequency_penalty);
  // -1 is what other engines use for "all".
  if (const auto k = body.integer("top_k", -1, kInt32Max)) out.top_k = static_cast<int>(std::max<int64_t>(*k, 0));
}

// The id that a key of logit_bias names: plain decimal digits.
std::optional<TokenId> token_of_key(std::string_view key) {
  TokenId id = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0) return std::nullopt;
  if (fmt::format("{}", id) != key) return std::nullopt;
  return id;
}

void read_logit_bias(BodyReader& body, const ProtocolLimits& limits, int vocabulary_size, SamplingParams& out) {
  const JsonValue::Object* const biases = body.object("logit_bias");
  if (biases == nullptr) return;
  if (static_cast<int64_t>(biases->size()) > limits.logit_bias) {
    body.refuse("logit_bias",
                fmt::format("is an object of {}; at most {} entries are allowed (--limit-logit-bias)", biases->size(),
                            limits.logit_bias),
                "limit_exceeded");
    return;
  }
  out.logit_bias.clear();
  BodyReader entries(*biases, "logit_bias");
  for (const JsonValue::Member& entry : *biases) {
    const auto id = token_of_key(entry.key);
    if (!id || *id >= vocabulary_size) {
      body.refuse(
          "logit_bias",
          fmt::format("has the key {}; keys must be token ids from 0 to {}", shown(entry.key), vocabulary_size - 1),
          "out_of_range");
      return;
    }
    if (entry.value.is_null()) {
      entries.wrong_type(entry.key, entry.value, "a number from -100 to 100");
    } else if (!entry.value.is_number()) {
      entries.wrong_type(entry.key, entry.value, "a number from -100 to 100");
    } else if (entry.value.as_double() < -100 || entry.value.as_double() > 100) {
      entries.out_of_range(entry.key, entry.value, "a number from -100 to 100");
    } else {
      out.logit_bias.emplace_back(*id, static_cast<float>(entry.value.as_double()));
    }
    if (entries.failed()) {
      body.fail(*entries.take_error());
      return;
    }
  }
  std::sort(out.logit_bias.begin(), out.logit_bias.end());
}

void read_stop(BodyReader& body, const ProtocolLimits& limits, std::vector<std::string>& out) {
  const JsonValue* const stop = body.any("stop");
  if (stop == nullptr) return;
  if (!stop->is_string() && !stop->is_array()) {
    body.wrong_type("stop", *stop, "a string or an array of strings");
    return;
  }
  const JsonValue::Array single = stop->is_string() ? JsonValue::Array{*stop} : JsonValue::Array{};
  const JsonValue::Array& entries = stop->is_string() ? single : stop->as_array();
  if (static_cast<int64_t>(entries.size()) > limits.stop_strings) {
    body.refuse("stop",
                fmt::format("is an array of {}; at most {} are allowed (--limit-stop-strings)", entries.size(),
                            limits.stop_strings),
                "limit_exceeded");
    return;
  }
  out.clear();
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string name = stop->is_string() ? "stop" : fmt::format("stop[{}]", i);
    if (!entries[i].is_string()) {
      body.wrong_type(name, entries[i], "a string");
      return;
    }
    const std::string& text = entries[i].as_string();
    if (text.empty()) body.refuse(name, "is empty; a stop string needs at least one character", "out_of_range");
    if (static_cast<int64_t>(text.size()) > limits.stop_bytes) {
      body.refuse(
          name,
          fmt::format("is {} bytes long; at most {} are allowed (--limit-stop-bytes)", text.size(), limits.stop_bytes),
          "limit_exceeded");
    }
    if (body.failed()) return;
    out.push_back(text);
  }
}

void read_stop_token_ids(BodyReader& body, const ProtocolLimits& limits, int vocabulary_size,
                         std::vector<TokenId>& out) {
  const JsonValue::Array* const ids = body.array("stop_token_ids");
  if (ids == nullptr) return;
  if (static_cast<int64_t>(ids->size()) > limits.stop_token_ids) {
    body.refuse("stop_token_ids",
                fmt::format("is an array of {}; at most {} are allowed (--limit-stop-token-ids)", ids->size(),
                            limits.stop_token_ids),
                "limit_exceeded");
    return;
  }
  for (size_t i = 0; i < ids->size(); ++i) {
    const auto id = (*ids)[i].to_int64();
    if (!id || *id < 0 || *id >= vocabulary_size) {
      const std::string name = fmt::format("stop_token_ids[{}]", i);
      body.out_of_range(name, (*ids)[i], fmt::format("a token id from 0 to {}", vocabulary_size - 1));
      return;
    }
    out.push_back(static_cast<TokenId>(*id));
  }
}

void read_token_counts(BodyReader& body, int lowest, int default_max_tokens, Request& request) {
  const auto max_tokens = body.integer("max_tokens", lowest, kInt32Max);
  const auto max_completion_tokens = body.integer("max_completion_tokens", lowest, kInt32Max);
  if (max_tokens && max_completion_tokens && *max_tokens != *max_completion_tokens) {
    body.refuse("max_completion_tokens",
                fmt::format("is {} and max_tokens is {}; give one of them", *max_completion_tokens, *max_tokens),
                "invalid_value");
  }
  const auto given = max_completion_tokens ? max_completion_tokens : max_tokens;
  request.max_tokens = given ? static_cast<int>(*given) : default_max_tokens;
  if (const auto count = body.integer("min_tokens", 0, kInt32Max)) request.min_tokens = static_cast<int>(*count);
  if (request.min_tokens > request.max_tokens) {
    body.refuse("min_tokens",
                fmt::format("is {}; it must not be more than max_tokens, {}", request.min_tokens, request.max_tokens),
                "out_of_range");
  }
}

}  // namespace

void read_sampling_fields(BodyReader& body, std::string_view seed_key, const ProtocolContext& context,
                          int lowest_max_tokens, int default_max_tokens, Request& request) {
  const ProtocolLimits& limits = context.limits;
  const int vocabulary_size = context.encoder.vocabulary_size();
  request.sampling = context.defaults.sampling;
  if (request.allowed_answers == nullptr) {
    request.stop_strings = context.defaults.stop_strings;
    request.ignore_eos = context.defaults.ignore_eos;
    request.min_tokens = context.defaults.min_tokens;
  }

  read_distribution(body, request.sampling);
  read_logit_bias(body, limits, vocabulary_size, request.sampling);
  if (const auto seed =
          body.integer("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max())) {
    request.sampling.seed = static_cast<uint64_t>(*seed);
  } else {
    request.sampling.seed = hash64(seed_key, context.defaults.sampling.seed);
  }
  if (const auto n = body.integer("n", 1, limits.n)) request.n = static_cast<int>(*n);
  if (const auto best_of = body.integer("best_of", 1, limits.n); best_of && *best_of != request.n) {
    body.refuse("best_of", fmt::format("is {}; only the value of n ({}) is supported", *best_of, request.n),
                "unsupported_value");
  }
  read_token_counts(body, lowest_max_tokens, default_max_tokens, request);
  if (const auto ignore = body.boolean("ignore_eos")) request.ignore_eos = *ignore;
  read_stop(body, limits, request.stop_strings);
  read_stop_token_ids(body, limits, vocabulary_size, request.stop_token_ids);
}

}  // namespace batchwright
