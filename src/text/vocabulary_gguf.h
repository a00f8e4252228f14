// The vocabulary in a model file's metadata (tokenizer.ggml.*).
#pragma once

#include <memory>

#include "batchwright/status.h"
#include "formats/gguf.h"
#include "text/vocabulary.h"

namespace batchwright {

// As the file says, unchecked but for the values' types. Where the file says nothing, llama.cpp's defaults hold: SPM
// puts BOS first and a space before the text, so does Llama 3's BPE with BOS, others do not. Special ids that the file
// does not name there are none. Errors: kUnsupported for a tokenizer.ggml.model other than "llama" and "gpt2";
// kInvalidData for a missing key or a value of the wrong type, naming the key.
Result<VocabularyData> read_vocabulary_data(const GgufFile& file);

// Errors: those above and of Vocabulary::create, after the file's path.
Result<std::shared_ptr<const Vocabulary>> load_vocabulary(const GgufFile& file);

}  // namespace batchwright
