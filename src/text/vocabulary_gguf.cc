#include "text/vocabulary_gguf.h"

#include <fmt/format.h>

#include <utility>

#include "base/status_macros.h"
#include "formats/printable.h"
#include "text/pretokenizer.h"

namespace batchwright {
namespace {

Result<std::optional<int64_t>> optional_id(const GgufFile& file, const char* key) {
  if (!file.has(key)) return std::optional<int64_t>();
  BATCHWRIGHT_ASSIGN_OR_RETURN(const int64_t id, file.integer(key));
  return std::optional<int64_t>(id);
}

Result<std::vector<std::string>> strings(const GgufFile& file, const char* key) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<std::string_view> views, file.strings(key));
  return std::vector<std::string>(views.begin(), views.end());
}

}  // namespace

Result<VocabularyData> read_vocabulary_data(const GgufFile& file) {
  VocabularyData data;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view model, file.string("tokenizer.ggml.model"));
  if (model == "llama") {
    data.kind = VocabularyKind::kSpm;
  } else if (model == "gpt2") {
    data.kind = VocabularyKind::kBpe;
  } else {
    return unsupported(
        fmt::format("{}: tokenizer.ggml.model is \"{}\"; supported: \"llama\" (sentencepiece BPE), \"gpt2\" "
                    "(byte-level BPE)",
                    file.path(), printable(model)));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view pre, file.string_or("tokenizer.ggml.pre", ""));
  data.pre_tokenizer = pre;
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.tokens, strings(file, "tokenizer.ggml.tokens"));
  if (file.has("tokenizer.ggml.scores")) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufArray<double> scores, file.reals("tokenizer.ggml.scores"));
    data.scores.reserve(scores.size());
    for (size_t i = 0; i < scores.size(); ++i) data.scores.push_back(static_cast<float>(scores[i]));
  }
  if (file.has("tokenizer.ggml.token_type")) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufArray<int64_t> types, file.integers("tokenizer.ggml.token_type"));
    data.types.reserve(types.size());
    for (size_t i = 0; i < types.size(); ++i) {
      // What does not fit is as wrong as 0, which no type has.
      data.types.push_back(types[i] >= 0 && types[i] <= INT32_MAX ? static_cast<int32_t>(types[i]) : 0);
    }
  }
  if (data.kind == VocabularyKind::kBpe) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(data.merges, strings(file, "tokenizer.ggml.merges"));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.bos, optional_id(file, "tokenizer.ggml.bos_token_id"));
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.eos, optional_id(file, "tokenizer.ggml.eos_token_id"));
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.eot, optional_id(file, "tokenizer.ggml.eot_token_id"));
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.unknown, optional_id(file, "tokenizer.ggml.unknown_token_id"));
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.padding, optional_id(file, "tokenizer.ggml.padding_token_id"));

  const bool spm = data.kind == VocabularyKind::kSpm;
  const bool bos_is_usual = spm || PreTokenizer::is_llama3(data.pre_tokenizer);
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.add_bos,
                               file.boolean_or("tokenizer.ggml.add_bos_token", bos_is_usual && data.bos.has_value()));
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.add_eos, file.boolean_or("tokenizer.ggml.add_eos_token", false));
  BATCHWRIGHT_ASSIGN_OR_RETURN(data.add_space_prefix, file.boolean_or("tokenizer.ggml.add_space_prefix", spm));
  return data;
}

Result<std::shared_ptr<const Vocabulary>> load_vocabulary(const GgufFile& file) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(VocabularyData data, read_vocabulary_data(file));
  auto vocabulary = Vocabulary::create(data);
  if (!vocabulary.ok()) return vocabulary.status().with_context(file.path());
  return vocabulary;
}

}  // namespace batchwright
