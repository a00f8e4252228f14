#include "job/parameters.h"

#include <fmt/format.h>

#include <algorithm>
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

  std::string key;   // in the file
  std::string name;  // for people
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

// `members`: pointers to members, from JobParameters to what the field stands for.
template <class... Members>
Field field(std::string key, std::string name, Field::Kind kind, Members... members) {
  return {std::move(key), std::move(name), kind, [=](const JobParameters& p) { return to_value((p.*....*members)); },
          [=](JobParameters& p, const JsonValue& value) { return from_value(value, (p.*....*members)); }};
}

// An option's name is what people know it by: --top-p is top_p in the file.
template <class... Members>
Field option(const std::string& name, Field::Kind kind, Members... members) {
  std::string key = name.substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  return field(key, name, kind, members...);
}

std::vector<Field> make_fields() {
  using P = JobParameters;
  using enum Field::Kind;
  std::vector<Field> all = {
      field("model_hash", "the model", kCompared, &P::model_hash),
      field("numerics_version", "the numerics version", kCompared, &P::numerics_version),
      field("rows", "the number of rows", kCompared, &P::rows),
      field("rows_hash", "the rows", kCompared, &P::rows_hash),
      field("output_is_table", "the output as a table", kCompared, &P::table_output),
      option("--input-format", kCompared, &P::format, &RowFormatOptions::kind),
      option("--prompt", kCompared, &P::format, &RowFormatOptions::prompt),
      option("--system", kCompared, &P::format, &RowFormatOptions::system),
      option("--url", kCompared, &P::format, &RowFormatOptions::endpoint),
      option("--id", kCompared, &P::format, &RowFormatOptions::id_column),
      option("--carry", kCompared, &P::format, &RowFormatOptions::carry),
      option("--max-tokens", kCompared, &P::defaults, &RequestDefaults::max_tokens),
      option("--min-tokens", kCompared, &P::defaults, &RequestDefaults::min_tokens),
      option("--ignore-eos", kCompared, &P::defaults, &RequestDefaults::ignore_eos),
      option("--stop", kCompared, &P::defaults, &RequestDefaults::stop_strings),
      option("--choice", kCompared, &P::defaults, &RequestDefaults::choice),
      option("--choice-logprobs", kCompared, &P::defaults, &RequestDefaults::choice_logprobs),
      option("--temperature", kCompared, &P::defaults, &RequestDefaults::sampling, &SamplingParams::temperature),
      option("--top-p", kCompared, &P::defaults, &RequestDefaults::sampling, &SamplingParams::top_p),
      option("--top-k", kCompared, &P::defaults, &RequestDefaults::sampling, &SamplingParams::top_k),
      option("--min-p", kCompared, &P::defaults, &RequestDefaults::sampling, &SamplingParams::min_p),
      option("--repetition-penalty", kCompared, &P::defaults, &RequestDefaults::sampling,
             &SamplingParams::repetition_penalty),
      option("--presence-penalty", kCompared, &P::defaults, &RequestDefaults::sampling,
             &SamplingParams::presence_penalty),
      option("--frequency-penalty", kCompared, &P::defaults, &RequestDefaults::sampling,
             &SamplingParams::frequency_penalty),
      option("--seed", kCompared, &P::defaults, &RequestDefaults::sampling, &SamplingParams::seed),
      option("--chat-template", kCompared, &P::chat_template),
      option("--date", kCompared, &P::date),
      option("--created", kCompared, &P::stamp_created),
      option("--context-length", kCompared, &P::context_length),
      field("input", "input", kInformation, &P::input),
      field("model_path", "model_path", kInformation, &P::model_path),
      field("version", "version", kInformation, &P::version),
      field("isa", "isa", kInformation, &P::isa),
      field("threads", "threads", kInformation, &P::threads),
      field("max_batch", "max_batch", kInformation, &P::max_batch),
  };
  for (const LimitEntry& limit : limit_table()) {
    all.push_back(option(limit.option, kLimit, &P::limits, limit.field));
  }
  return all;
}

const std::vector<Field>& fields() {
  static const std::vector<Field> kAll = make_fields();
  return kAll;
}

bool differs(const Field& field, const JobParameters& was, const JobParameters& is) {
  if (field.kind == Field::Kind::kInformation) return false;
  const JsonValue a = field.get(was);
  const JsonValue b = field.get(is);
  return a != b && !(field.key == "model_hash" && (a == JsonValue("") || b == JsonValue("")));
}

}  // namespace

std::string to_json(const JobParameters& parameters) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  for (const Field& field : fields()) {
    out.key(field.key);
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
    const JsonValue* const value = parsed->find(field.key);
    // Of a version that did not know it: it was as if it had its default.
    if (value == nullptr) continue;
    if (!field.set(out, *value)) {
      return invalid_data(fmt::format("the job's parameter {} is {}, which cannot be", field.key, shown(*value)));
    }
  }
  return out;
}

std::vector<std::string> changes(const JobParameters& was, const JobParameters& is) {
  std::vector<std::string> out;
  for (const Field& field : fields()) {
    if (!differs(field, was, is)) continue;
    if (field.key == "model_hash") {
      out.push_back(fmt::format("the model was {} (hash {}) and is now {} (hash {})", was.model_path, was.model_hash,
                                is.model_path, is.model_hash));
    } else if (field.key == "rows_hash") {
      // A changed number of rows says enough; and what is made of a table's records changes with its options.
      if (was.rows == is.rows && was.format == is.format) out.emplace_back("the rows are no longer what they were");
    } else if (field.name == "--chat-template") {
      out.emplace_back("the text of --chat-template is another");
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
