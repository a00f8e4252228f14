// The values of a template: small handles to immutable scalars or to objects that an arena owns.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batchwright/status.h"
#include "text/jinja/text.h"

namespace batchwright::jinja {

struct ListObject;
struct DictObject;
struct IteratorObject;
struct ViewObject;
struct NamespaceObject;
struct CallableObject;
struct LoopObject;

enum class Kind : uint8_t {
  kMissing,    // no argument given, no variable of that name: never seen by templates
  kUndefined,  // Jinja's Undefined; name() may say of what
  kNone,
  kBool,
  kInt,
  kBigUint,  // a JSON integer above INT64_MAX: passed through, not computed with
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kIterator,  // consumed by reading, like a Python generator
  kView,      // range, dict.items() and the like: sized, not a list
  kNamespace,
  kCallable,
  kLoop,
};

// Trivially copyable; valid as long as the arena of what it points to.
class Value {
 public:
  Value() : Value(Kind::kNone) {}
  Value(bool b) : kind_(Kind::kBool) { payload_.boolean = b; }                  // NOLINT(google-explicit-constructor)
  Value(int64_t i) : kind_(Kind::kInt) { payload_.integer = i; }                // NOLINT(google-explicit-constructor)
  Value(double d) : kind_(Kind::kFloat) { payload_.number = d; }                // NOLINT(google-explicit-constructor)
  Value(const Text* text) : kind_(Kind::kString) { payload_.text = text; }      // NOLINT(google-explicit-constructor)
  Value(DictObject* d) : kind_(Kind::kDict) { payload_.dict = d; }              // NOLINT(google-explicit-constructor)
  Value(IteratorObject* i) : kind_(Kind::kIterator) { payload_.iterator = i; }  // NOLINT(google-explicit-constructor)
  Value(ViewObject* v) : kind_(Kind::kView) { payload_.view = v; }              // NOLINT(google-explicit-constructor)
  Value(NamespaceObject* n) : kind_(Kind::kNamespace) {
    payload_.name_space = n;
  }                                                                             // NOLINT(google-explicit-constructor)
  Value(CallableObject* c) : kind_(Kind::kCallable) { payload_.callable = c; }  // NOLINT(google-explicit-constructor)
  Value(LoopObject* l) : kind_(Kind::kLoop) { payload_.loop = l; }              // NOLINT(google-explicit-constructor)
  template <class T>
  Value(T) = delete;

  static Value missing() { return Value(Kind::kMissing); }
  // name: null, or what is undefined; it outlives the value.
  static Value undefined(const std::string* name = nullptr) {
    Value v(Kind::kUndefined);
    v.payload_.name = name;
    return v;
  }
  static Value big_uint(uint64_t u) {
    Value v(Kind::kBigUint);
    v.payload_.big = u;
    return v;
  }
  static Value list(ListObject* items) {
    Value v(Kind::kList);
    v.payload_.list = items;
    return v;
  }
  static Value tuple(ListObject* items) {
    Value v(Kind::kTuple);
    v.payload_.list = items;
    return v;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  // What Python counts as int: booleans too.
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  bool boolean() const { return payload_.boolean; }
  int64_t integer() const { return kind_ == Kind::kBool ? int64_t{payload_.boolean} : payload_.integer; }
  double number() const { return kind_ == Kind::kFloat ? payload_.number : static_cast<double>(integer()); }
  uint64_t big() const { return payload_.big; }
  const std::string* name() const { return payload_.name; }
  const Text& text() const { return *payload_.text; }
  std::string_view bytes() const { return payload_.text->bytes(); }
  ListObject& list() const { return *payload_.list; }
  DictObject& dict() const { return *payload_.dict; }
  IteratorObject& iterator() const { return *payload_.iterator; }
  ViewObject& view() const { return *payload_.view; }
  NamespaceObject& name_space() const { return *payload_.name_space; }
  CallableObject& callable() const { return *payload_.callable; }
  LoopObject& loop() const { return *payload_.loop; }
  // Of kinds that are objects: identity.
  const void* address() const { return payload_.address; }

 private:
  explicit Value(Kind kind) : kind_(kind) { payload_.big = 0; }

  Kind kind_;
  union {
    bool boolean;
    int64_t integer;
    uint64_t big;
    double number;
    const std::string* name;
    const Text* text;
    ListObject* list;
    DictObject* dict;
    IteratorObject* iterator;
    ViewObject* view;
    NamespaceObject* name_space;
    CallableObject* callable;
    LoopObject* loop;
    const void* address;
  } payload_;
};

struct ListObject : Object {
  std::vector<Value> items;
};

// Made at once, but behaves as lazily as a generator: an error is raised when reading reaches it.
struct IteratorObject : Object {
  std::vector<Value> items;
  size_t next = 0;
  Status error;  // stands behind the items
};

struct ViewObject : Object {
  enum class Type { kRange, kKeys, kValues, kItems };
  Type type = Type::kRange;
  std::vector<Value> items;
  std::string shown;  // of a range: its repr
};

// Insertion order; keys are hashable in Python's sense, found through their canonical form.
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;
  std::map<std::string, size_t, std::less<>> index;  // canonical key to place in entries
};

struct NamespaceObject : Object {
  std::map<std::string, Value, std::less<>> attributes;
};

// A running for loop, as its body sees it.
struct LoopObject : Object {
  // Finds the next item that passes the loop's condition. False at the end.
  virtual bool advance(Value& item) = 0;

  int64_t index0 = -1;
  int depth0 = 0;
  Value previous = Value::missing();
  Value current = Value::missing();
  Value after = Value::missing();  // looked ahead
  bool finished_peek = false;      // looked ahead, and there was none
  int64_t length = -1;             // once somebody asked; then the items behind `after` are in `passed`
  std::vector<Value> passed;
  size_t next_passed = 0;
  bool all_passed = false;
  bool has_changed_value = false;
  Value changed_value;
};

class Arena {
 public:
  template <class T, class... Args>
  T* make(Args&&... args) {
    auto owned = std::make_unique<T>(std::forward<Args>(args)...);
    T* const object = owned.get();
    objects_.push_back(std::move(owned));
    return object;
  }

 private:
  std::vector<std::unique_ptr<Object>> objects_;
};

}  // namespace batchwright::jinja
