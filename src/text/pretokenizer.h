// Cutting text into the words inside which byte-level BPE merges.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "batchwright/status.h"

namespace batchwright {

// A compiled pattern. Immutable: any number of threads may make cursors of it at once.
class PreTokenizer {
 public:
  class Cursor;

  // Ok where the name (tokenizer.ggml.pre) is built in; kUnsupported, with the list of those that are, where not.
  static Status check_name(std::string_view name);

  static Result<std::unique_ptr<const PreTokenizer>> create(std::string_view name);

  // Whether the name is one of Llama 3's.
  static bool is_llama3(std::string_view name);

  // Whether a word that is a token as a whole is that token, whatever the merges say (Llama 3).
  bool ignores_merges() const;

  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  ~PreTokenizer();

 private:
  struct Compiled;
  explicit PreTokenizer(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

// Walks the words of one text after the other. One a thread; the PreTokenizer must outlive it. Never fails and takes
// time linear in the text: PCRE2's compiled code runs under a limit that grows with the text; where it, or the
// interpreter after it, gives up all the same, one character is a word. The stack it takes is 32 KiB, whatever the
// text.
class PreTokenizer::Cursor {
 public:
  explicit Cursor(const PreTokenizer& pre_tokenizer);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // Borrows the text, which must be valid UTF-8.
  void start(std::string_view text);
  // The next word: never empty; together they are the whole text. False at the end.
  bool next(std::string_view& word);

 private:
  struct State;
  const PreTokenizer& pre_tokenizer_;
  std::unique_ptr<State> state_;
  std::string_view text_;  // from the next word on
  std::string classes_;    // a byte for each character of the text
  size_t class_at_ = 0;    // of the next word
};

}  // namespace batchwright
