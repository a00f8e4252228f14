// Strings that know who wrote each of their bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace batchwright::jinja {

// Anything an Arena owns.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
};

// Bytes up to `end` (and from the end of the run before) have one origin.
struct OriginRun {
  size_t end;
  bool from_template;
};

class TextBuilder;

// Immutable, valid UTF-8. Offsets are in bytes unless a name says characters; byte offsets handed in lie on characters.
class Text : public Object {
 public:
  explicit Text(TextBuilder&& builder);

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Runs of alternating origin, the last one ending at size(); none for an empty text.
  const std::vector<OriginRun>& runs() const { return runs_; }

  size_t length_characters() const { return length_; }
  bool is_ascii() const { return length_ == bytes_.size(); }
  // Byte offset of a character; size() for length_characters(). Linear in the text where it is not ASCII.
  size_t byte_offset(size_t character) const;

 private:
  std::string bytes_;
  std::vector<OriginRun> runs_;
  size_t length_;
};

// Gathers pieces, joining neighbours of one origin.
class TextBuilder {
 public:
  void append(std::string_view bytes, bool from_template);
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, size_t begin, size_t end);

  size_t size() const { return bytes_.size(); }
  std::string_view bytes() const { return bytes_; }
  const std::vector<OriginRun>& runs() const { return runs_; }

 private:
  friend class Text;
  std::string bytes_;
  std::vector<OriginRun> runs_;
};

// Walks a text's characters together with their origins.
class CharacterCursor {
 public:
  explicit CharacterCursor(const Text& text) : text_(text) {}
  bool at_end() const { return offset_ == text_.size(); }
  size_t offset() const { return offset_; }
  char32_t code_point() const;
  std::string_view bytes() const;
  bool from_template() const { return text_.runs()[run_].from_template; }
  void next();

 private:
  const Text& text_;
  size_t offset_ = 0;
  size_t run_ = 0;
};

}  // namespace batchwright::jinja
