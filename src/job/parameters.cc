#include "job/parameters.h"

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "protocol/body_reader.h"

namespace batchwright {
namespace {

// One table gives writing, reading and comparing.
struct Field {
  enum class Kind { kCompared, kLimit, kInformation };

  std::string name;
  Kind kind;
  std::function<JsonValue(const JobParameters&)> get;
  std::function<bool(JobParameters&, const JsonValue&)> set;
};

JsonValue to_value(bool v) { return v; }
JsonValue to_value(int v) { return v; }
JsonValue to_value(int64_t v) { return v; }
JsonValue to_value(uint32_t v) { return v; }
JsonValue to_value(uint64_t v) { return v; }
// 0.9, not 0.8999999761581421.
JsonValue to_value(float v) { return std::strtod(format_shortest(v).c_str(), nullptr); }
JsonValue to_value(const std::string& v) { return v; }
JsonValue to_value(const std::optional<int>& v) { return v ? JsonValue(*v) : JsonValue(); }
JsonValue to_value(const std::vector<std::string>& v) { return JsonValue::Array(v.begin(), v.end()); }
JsonValue to_value(RowFileKind v) { return v == RowFileKind::kCsv ? "csv" : v == RowFileKind::kTsv ? "tsv" : "jsonl"; }
JsonValue to_value(Endpoint v) { return v == Endpoint::kChatCompletions ? "/v1/chat/completions" : "/v1/completions"; }

template <class Integer>
bool integer_from(const JsonValue& value, Integer& out) {
  const auto number = value.to_int64();
  if (!number || *number < int64_t{std::numeric_limits<Integer>::min()} ||
      *number > int64_t{std::numeric_limits<Integer>::max()}) {
    return false;
  }
  out = static_cast<Integer>(*number);
  return true;
}

bool from_value(const JsonValue& value, bool& out) {
  if (value.is_bool()) out = value.as_bool();
  return value.is_bool();
}
bool from_value(const JsonValue& value, int& out) { return integer_from(value, out); }
bool from_value(const JsonValue& value, int64_t& out) { return integer_from(value, out); }
bool from_value(const JsonValue& value, uint32_t& out) { return integer_from(value, out); }
bool from_value(const JsonValue& value, uint64_t& out) {
  if (!value.is_integer() || (value.is_int64() && value.as_int64() < 0)) return false;
  out = value.as_uint64();
  return true;
}
bool from_value(const JsonValue& value, float& out) {
  if (value.is_number()) out = static_cast<float>(value.as_double());
  return value.is_number();
}
bool from_value(const JsonValue& value, std::string& out) {
  if (value.is_string()) out = value.as_string();
  return value.is_string();
}
bool from_value(const JsonValue& value, std::optional<int>& out) {
  out.reset();
  return value.is_null() || from_value(value, out.emplace());
}
bool from_value(const JsonValue& value, std::vector<std::string>& out) {
  if (!value.is_array()) return false;
  out.clear();
  for (const JsonValue& entry : value.as_array()) {
    if (!entry.is_string()) return false;
    out.push_back(entry.as_string());
  }
  return true;
}
template <class Enum>
bool one_of(const JsonValue& value, std::initializer_list<Enum> all, Enum& out) {
  for (const Enum candidate : all) {
    if (value != to_value(candidate)) continue;
    out = candidate;
    return true;
  }
  return false;
}
bool from_value(const JsonValue& value, RowFileKind& out) {
  return one_of(value, {RowFileKind::kJsonLines, RowFileKind::kCsv, RowFileKind::kTsv}, out);
}
bool from_value(const JsonValue& value, Endpoint& out) {
  return one_of(value, {Endpoint::kChatCompletions, Endpoint::kCompletions}, out);
}

// `member` gives a reference to what the field stands for.
template <class Member>
Field field(std::string name, Field::Kind kind, Member member) {
  return {std::move(name), kind,
          [member](const JobParameters& p) { return to_value(std::as_const(member(const_cast<JobParameters&>(p)))); },
          [member](JobParameters& p, const JsonValue& value) { return from_value(value, member(p)); }};
}

std::vector<Field> make_fields() {
  using P = JobParameters;
  using enum Field::Kind;
  std::vector<Field> all;
  const auto add = [&](const char* name, auto member) { all.push_back(field(name, kCompared, member)); };
  add(
      "the model", [](P & p) -> auto& { return p.model_hash; });
  add(
      "the numerics version", [](P & p) -> auto& { return p.numerics_version; });
  add(
      "the number of rows", [](P & p) -> auto& { return p.rows; });
  add(
      "the rows", [](P & p) -> auto& { return p.rows_hash; });
  add(
      "--input-format", [](P & p) -> auto& { return p.format.kind; });
  add(
      "--prompt", [](P & p) -> auto& { return p.format.prompt; });
  add(
      "--system", [](P & p) -> auto& { return p.format.system; });
  add(
      "--url", [](P & p) -> auto& { return p.format.endpoint; });
  add(
      "--id", [](P & p) -> auto& { return p.format.id_column; });
  add(
      "--carry", [](P & p) -> auto& { return p.format.carry; });
  add(
      "--max-tokens", [](P & p) -> auto& { return p.defaults.max_tokens; });
  add(
      "--min-tokens", [](P & p) -> auto& { return p.defaults.min_tokens; });
  add(
      "--temperature", [](P & p) -> auto& { return p.defaults.sampling.temperature; });
  add(
      "--top-p", [](P & p) -> auto& { return p.defaults.sampling.top_p; });
  add(
      "--top-k", [](P & p) -> auto& { return p.defaults.sampling.top_k; });
  add(
      "--min-p", [](P & p) -> auto& { return p.defaults.sampling.min_p; });
  add(
      "--repetition-penalty", [](P & p) -> auto& { return p.defaults.sampling.repetition_penalty; });
  add(
      "--presence-penalty", [](P & p) -> auto& { return p.defaults.sampling.presence_penalty; });
  add(
      "--frequency-penalty", [](P & p) -> auto& { return p.defaults.sampling.frequency_penalty; });
  add(
      "--seed", [](P & p) -> auto& { return p.defaults.sampling.seed; });
  add(
      "--stop", [](P & p) -> auto& { return p.defaults.stop_strings; });
  add(
      "--ignore-eos", [](P & p) -> auto& { return p.defaults.ignore_eos; });
  add(
      "--choice", [](P & p) -> auto& { return p.defaults.choice; });
  add(
      "--choice-logprobs", [](P & p) -> auto& { return p.defaults.choice_logprobs; });
  add(
      "--chat-template", [](P & p) -> auto& { return p.chat_template; });
  add(
      "--date", [](P & p) -> auto& { return p.date; });
  add(
      "--created", [](P & p) -> auto& { return p.stamp_created; });
  add(
      "--context-length", [](P & p) -> auto& { return p.context_length; });
  add(
      "the output as a table", [](P & p) -> auto& { return p.table_output; });
  for (const LimitEntry& limit : limit_table()) {
    all.push_back(field(
        limit.option, kLimit, [f = limit.field](P & p) -> auto& { return p.limits.*f; }));
  }
  all.push_back(field(
      "input", kInformation, [](P & p) -> auto& { return p.input; }));
  all.push_back(field(
      "model_path", kInformation, [](P & p) -> auto& { return p.model_path; }));
  all.push_back(field(
      "version", kInformation, [](P & p) -> auto& { return p.version; }));
  return all;
}

const std::vector<Field>& fields() {
  static const std::vector<Field> all = make_fields();
  return all;
}

// "the numerics version" is numerics_version in the file.
std::string key_of(const Field& field) {
  std::string key = field.name;
  for (const std::string_view prefix : {"the ", "--"}) {
    if (key.starts_with(prefix)) key.erase(0, prefix.size());
  }
  for (char& c : key) {
    if (c == ' ' || c == '-') c = '_';
  }
  return key;
}

bool differs(const Field& field, const JobParameters& was, const JobParameters& is) {
  if (field.kind == Field::Kind::kInformation) return false;
  const JsonValue a = field.get(was);
  const JsonValue b = field.get(is);
  return a != b && !(field.name == "the model" && (a == JsonValue("") || b == JsonValue("")));
}

}  // namespace

std::string to_json(const JobParameters& parameters) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  for (const Field& field : fields()) {
    out.key(key_of(field));
    out.value(field.get(parameters));
  }
  out.end_object();
  return text;
}

Result<JobParameters> read_parameters(std::string_view json) {
  auto parsed = parse_json(json);
  if (!parsed.ok()) return parsed.status();
  JobParameters out;
  for (const Field& field : fields()) {
    const JsonValue* const value = parsed->find(key_of(field));
    // Of a version that did not know it: it was as if it had its default.
    if (value == nullptr) continue;
    if (!field.set(out, *value)) {
      return invalid_data(fmt::format("the job's parameter {} is {}, which cannot be", key_of(field), shown(*value)));
    }
  }
  return out;
}

std::vector<std::string> changes(const JobParameters& was, const JobParameters& is) {
  std::vector<std::string> out;
  for (const Field& field : fields()) {
    if (!differs(field, was, is)) continue;
    if (field.name == "the model") {
      out.push_back(fmt::format("the model was {} (hash {}) and is now {} (hash {})", was.model_path, was.model_hash,
                                is.model_path, is.model_hash));
    } else if (field.name == "the rows") {
      // A changed number of rows says enough.
      if (was.rows == is.rows) out.push_back("the rows are no longer what they were");
    } else if (field.name == "--chat-template") {
      out.push_back("the text of --chat-template is another");
    } else {
      out.push_back(fmt::format("{} was {} and is now {}", field.name, shown(field.get(was)), shown(field.get(is))));
    }
  }
  return out;
}

bool only_limits_grew(const JobParameters& was, const JobParameters& is) {
  for (const Field& field : fields()) {
    if (!differs(field, was, is)) continue;
    if (field.kind != Field::Kind::kLimit || field.get(is).as_int64() < field.get(was).as_int64()) return false;
  }
  return true;
}

}  // namespace batchwright
