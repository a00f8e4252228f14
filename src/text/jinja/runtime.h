// What one rendering may use, and what it has used.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batchwright/status.h"
#include "text/chat_template.h"
#include "text/jinja/value.h"

namespace batchwright::jinja {

// Thrown inside of this folder only; ChatTemplate turns it into its status.
struct TemplateError {
  Status status;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime;

struct CallableObject : Object {
  std::string name;
  virtual Value call(Runtime& runtime, const Arguments& arguments) = 0;
};

// Steps, bytes and depth are counted here; whoever makes or looks through something pays first.
class Runtime {
 public:
  explicit Runtime(const TemplateLimits& limits, const ChatInputs& inputs) : limits_(limits), inputs_(inputs) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const TemplateLimits& limits() const { return limits_; }
  const ChatInputs& inputs() const { return inputs_; }
  Arena& arena() { return arena_; }

  // The line that errors name.
  void set_line(int line) { line_ = line; }
  int line() const { return line_; }

  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void refuse(const std::string& message) const;  // kResourceExhausted

  void step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.max_steps) refuse_steps();
  }
  // For looking through so many bytes.
  void scan(size_t bytes) { step(static_cast<int64_t>(bytes >> 9)); }
  // For making so many bytes.
  void charge(size_t bytes);
  void check_list_size(size_t items) const;

  // Nesting of evaluation and of data; see Depth.
  void enter();
  void leave() { --depth_; }

  Value make_text(TextBuilder&& builder);
  Value make_text(std::string_view bytes, bool from_template);
  Value make_list(std::vector<Value> items);
  Value make_tuple(std::vector<Value> items);
  Value make_iterator(std::vector<Value> items);
  Value make_view(ViewObject::Type type, std::vector<Value> items, std::string shown = {});
  DictObject* make_dict();

 private:
  [[noreturn]] void refuse_steps() const;

  const TemplateLimits& limits_;
  const ChatInputs& inputs_;
  Arena arena_;
  int64_t steps_ = 0;
  size_t work_bytes_ = 0;
  int depth_ = 0;
  int line_ = 1;
};

// One level of recursion, of the interpreter or into a value.
class Depth {
 public:
  explicit Depth(Runtime& runtime) : runtime_(runtime) { runtime_.enter(); }
  ~Depth() { runtime_.leave(); }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  Runtime& runtime_;
};

// The arguments by the places of their names, Value::missing() where none was given. Fails as Python would on too many,
// unknown or doubled ones, and where one of the first `required` is missing.
std::vector<Value> bind(const Runtime& runtime, const Arguments& arguments, std::string_view function,
                        std::initializer_list<std::string_view> names, size_t required = 0);

}  // namespace batchwright::jinja
