#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/format_bytes.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "formats/gguf.h"
#include "model/model_shape.h"
#include "tensor/dequantize.h"

namespace batchwright {
namespace {

struct TypeTotal {
  int64_t tensors = 0;
  int64_t elements = 0;
  uint64_t bytes = 0;
};

struct Memory {
  int batch = 0;
  int64_t context = 0;
  KvFormat format = KvFormat::kF16;
  size_t kv_bytes_per_sequence = 0;
  size_t kv_bytes = 0;
};

// A tensor with values that are no numbers.
struct Damage {
  std::string tensor;
  int64_t values = 0;  // NaN or infinite
  int64_t first = 0;   // the index of the first of them
};

std::vector<Damage> find_damage(const GgufFile& file) {
  std::vector<Damage> found;
  std::vector<float> row;
  for (const GgufTensor& tensor : file.tensors()) {
    row.resize(static_cast<size_t>(tensor.ne[0]));
    const size_t row_bytes = tensor.data.size() / static_cast<size_t>(tensor.rows());
    Damage damage{tensor.name, 0, 0};
    for (int64_t r = 0; r < tensor.rows(); ++r) {
      dequantize_row(tensor.type, tensor.data.data() + static_cast<size_t>(r) * row_bytes, tensor.ne[0], row.data());
      for (int64_t i = 0; i < tensor.ne[0]; ++i) {
        if (std::isfinite(row[static_cast<size_t>(i)])) continue;
        if (damage.values++ == 0) damage.first = r * tensor.ne[0] + i;
      }
    }
    if (damage.values > 0) found.push_back(std::move(damage));
    file.release(tensor);
  }
  return found;
}

class InspectCommand : public Command {
 public:
  explicit InspectCommand(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("inspect", "Show what a model file holds and the memory it needs");
    set_examples(command,
                 "  batchwright inspect model.gguf\n"
                 "  batchwright inspect model.gguf --batch 64 --context 4096\n"
                 "  batchwright inspect model.gguf --check --json");
    command.add_option("MODEL", path_, "A GGUF file")->required();
    command.add_flag("--json", json_, "One JSON object");
    command.add_flag("--check", check_, "Look for values that are not finite in every tensor");
    command.add_option("--batch", batch_, "Sequences for which memory is computed")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    command.add_option("--context", context_, "Positions of each (default: 4096, or what the model was trained for)")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
    command.add_option("--kv-format", kv_format_, "f16 or f32")
        ->check(CLI::IsMember({"f16", "f32"}))
        ->capture_default_str();
  }

  int run() override {
    const auto file = GgufFile::open(path_);
    if (!file.ok()) return print_error(file.status());
    const auto shape = read_model_shape(*file);
    if (shape.ok()) memory_ = memory_of(*shape);
    std::vector<Damage> damage;
    if (check_) damage = find_damage(*file);
    // What was shown may be zeros where the file shrank meanwhile.
    if (const Status intact = file->check(); !intact.ok()) return print_error(intact);
    const std::string text = json_ ? json_text(*file, shape, damage) : plain_text(*file, shape, damage);
    if (const Status printed = print_result(text); !printed.ok()) return print_error(printed);
    return damage.empty() ? kExitOk : kExitBadInput;
  }

 private:
  Memory memory_of(const ModelShape& shape) const {
    Memory memory;
    memory.batch = batch_;
    memory.context = context_ > 0 ? context_ : std::min(shape.context_length, 4096);
    memory.format = kv_format_ == "f32" ? KvFormat::kF32 : KvFormat::kF16;
    memory.kv_bytes_per_sequence = kv_bytes(shape, memory.format, memory.context);
    memory.kv_bytes = memory.kv_bytes_per_sequence * static_cast<size_t>(batch_);
    return memory;
  }

  static std::map<std::string, TypeTotal> totals(const GgufFile& file) {
    std::map<std::string, TypeTotal> totals;
    for (const GgufTensor& tensor : file.tensors()) {
      TypeTotal& total = totals[std::string(element_type_name(tensor.type))];
      ++total.tensors;
      total.elements += tensor.elements();
      total.bytes += tensor.data.size();
    }
    return totals;
  }

  static uint64_t tensor_bytes(const GgufFile& file) {
    uint64_t bytes = 0;
    for (const GgufTensor& tensor : file.tensors()) bytes += tensor.data.size();
    return bytes;
  }

  std::string plain_text(const GgufFile& file, const Result<ModelShape>& shape,
                         const std::vector<Damage>& damage) const;
  std::string json_text(const GgufFile& file, const Result<ModelShape>& shape, const std::vector<Damage>& damage) const;

  std::string path_;
  bool json_ = false;
  bool check_ = false;
  int batch_ = 64;
  int64_t context_ = 0;
  std::string kv_format_ = "f16";
  std::optional<Memory> memory_;
};

std::string InspectCommand::plain_text(const GgufFile& file, const Result<ModelShape>& shape,
                                       const std::vector<Damage>& damage) const {
  std::string out =
      fmt::format("{}: GGUF version {}, {}, {} metadata entries, {} tensors\n\n", file.path(), file.version(),
                  format_bytes(static_cast<double>(file.file_bytes())), file.metadata().size(), file.tensors().size());
  out += "Metadata\n";
  for (const GgufKeyValue& entry : file.metadata()) {
    out += fmt::format("  {:<44} {}\n", entry.key, file.display_value(entry));
  }
  out += "\nTensors\n";
  for (const GgufTensor& tensor : file.tensors()) {
    out += fmt::format("  {:<44} {:<6} {:<24} {:>12}\n", tensor.name, element_type_name(tensor.type), tensor.shape(),
                       format_bytes(static_cast<double>(tensor.data.size())));
  }
  out += "\nTypes\n";
  for (const auto& [name, total] : totals(file)) {
    out += fmt::format("  {:<6} {:>5} tensors {:>16} elements {:>12}\n", name, total.tensors, total.elements,
                       format_bytes(static_cast<double>(total.bytes)));
  }
  if (memory_) {
    out += fmt::format("\nMemory for {} sequences of {} tokens\n", memory_->batch, memory_->context);
    out += fmt::format("  weights   {:>12}\n", format_bytes(static_cast<double>(tensor_bytes(file))));
    out +=
        fmt::format("  KV cache  {:>12}  ({} a sequence, {})\n", format_bytes(static_cast<double>(memory_->kv_bytes)),
                    format_bytes(static_cast<double>(memory_->kv_bytes_per_sequence)), kv_format_);
  } else {
    out += fmt::format("\nThis build cannot run it: {}\n", shape.status().message());
  }
  if (check_) {
    out += damage.empty() ? "\nCheck: all values are finite\n" : "\nCheck: values that are not finite\n";
    for (const Damage& d : damage) {
      out += fmt::format("  {}: {} values, the first at element {}\n", d.tensor, d.values, d.first);
    }
  }
  return out;
}

// Long arrays (vocabularies) only by their length.
void append_metadata_value(JsonWriter& out, const GgufFile& file, const GgufKeyValue& entry) {
  constexpr uint64_t kShownElements = 64;
  const auto append = [&out](const auto& result) {
    if (result.ok()) {
      out.value(*result);
    } else {
      out.null();
    }
  };
  const auto append_array = [&out](const auto& result) {
    out.begin_array();
    if (result.ok()) {
      for (size_t i = 0; i < result->size(); ++i) out.value((*result)[i]);
    }
    out.end_array();
  };
  const bool is_array = entry.type == GgufType::kArray;
  if (is_array && (entry.count > kShownElements || entry.element_type == GgufType::kArray)) {
    out.begin_object();
    out.member("array_of", gguf_type_name(entry.element_type));
    out.member("count", entry.count);
    out.end_object();
    return;
  }
  switch (entry.element_type) {
    case GgufType::kBool:
      is_array ? append_array(file.booleans(entry.key)) : append(file.boolean(entry.key));
      return;
    case GgufType::kString:
      is_array ? append_array(file.strings(entry.key)) : append(file.string(entry.key));
      return;
    case GgufType::kFloat32:
    case GgufType::kFloat64:
      is_array ? append_array(file.reals(entry.key)) : append(file.real(entry.key));
      return;
    case GgufType::kUint64:
      if (!is_array) {
        append(file.unsigned_integer(entry.key));
        return;
      }
      [[fallthrough]];
    default:
      is_array ? append_array(file.integers(entry.key)) : append(file.integer(entry.key));
  }
}

std::string InspectCommand::json_text(const GgufFile& file, const Result<ModelShape>& shape,
                                      const std::vector<Damage>& damage) const {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("path", file.path());
  out.member("gguf_version", file.version());
  out.member("file_bytes", file.file_bytes());
  out.member("alignment", file.alignment());
  out.key("metadata");
  out.begin_object();
  for (const GgufKeyValue& entry : file.metadata()) {
    out.key(entry.key);
    append_metadata_value(out, file, entry);
  }
  out.end_object();
  out.key("tensors");
  out.begin_array();
  int64_t parameters = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    parameters += tensor.elements();
    out.begin_object();
    out.member("name", tensor.name);
    out.member("type", element_type_name(tensor.type));
    out.key("shape");
    out.begin_array();
    for (int d = 0; d < tensor.n_dims; ++d) out.value(tensor.ne[static_cast<size_t>(d)]);
    out.end_array();
    out.member("offset", tensor.offset);
    out.member("bytes", static_cast<uint64_t>(tensor.data.size()));
    out.end_object();
  }
  out.end_array();
  out.member("parameters", parameters);
  out.member("tensor_bytes", tensor_bytes(file));
  out.key("types");
  out.begin_object();
  for (const auto& [name, total] : totals(file)) {
    out.key(name);
    out.begin_object();
    out.member("tensors", total.tensors);
    out.member("elements", total.elements);
    out.member("bytes", total.bytes);
    out.end_object();
  }
  out.end_object();
  if (memory_) {
    out.key("memory");
    out.begin_object();
    out.member("batch", memory_->batch);
    out.member("context", memory_->context);
    out.member("kv_format", kv_format_);
    out.member("kv_bytes_per_sequence", static_cast<uint64_t>(memory_->kv_bytes_per_sequence));
    out.member("kv_bytes", static_cast<uint64_t>(memory_->kv_bytes));
    out.member("weight_bytes", tensor_bytes(file));
    out.end_object();
  } else {
    out.member("unsupported", shape.status().message());
  }
  if (check_) {
    out.key("not_finite");
    out.begin_array();
    for (const Damage& d : damage) {
      out.begin_object();
      out.member("tensor", d.tensor);
      out.member("values", d.values);
      out.member("first", d.first);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
  return text + "\n";
}

}  // namespace

std::unique_ptr<Command> add_inspect_command(CLI::App& app) { return std::make_unique<InspectCommand>(app); }

}  // namespace batchwright
