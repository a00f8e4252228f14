// Damaged and malicious files: each ends in an error that names the place and the limit, or in a file that is safe to
// use, in memory bounded by the file's size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "formats/allocation_count.h"
#include "formats/gguf.h"
#include "formats/test_file.h"
#include "tensor/dequantize.h"

namespace batchwright {
namespace {

using formats::allocated_bytes;
using formats::TestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kMax32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMax64 = std::numeric_limits<uint64_t>::max();

// A file written number by number, which remembers where each stands.
class Raw {
 public:
  struct Field {
    std::string name;
    size_t offset;
    size_t width;
  };

  void u32(uint32_t value, std::string name) { number(&value, sizeof(value), std::move(name)); }
  void u64(uint64_t value, std::string name) { number(&value, sizeof(value), std::move(name)); }
  void raw(std::string_view text) { bytes_ += text; }
  void string(std::string_view text, const std::string& name) {
    u64(text.size(), name + " length");
    raw(text);
  }
  void pad(size_t alignment) { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment); }

  void set(std::string_view name, uint64_t value) {
    for (const Field& field : fields_) {
      if (field.name == name) return set(field, value);
    }
    FAIL() << "no field " << name;
  }
  void set(const Field& field, uint64_t value) { std::memcpy(&bytes_[field.offset], &value, field.width); }
  uint64_t get(const Field& field) const {
    uint64_t value = 0;
    std::memcpy(&value, &bytes_[field.offset], field.width);
    return value;
  }
  const std::string& bytes() const { return bytes_; }
  std::string& bytes() { return bytes_; }
  const std::vector<Field>& fields() const { return fields_; }

 private:
  void number(const void* value, size_t width, std::string name) {
    fields_.push_back({std::move(name), bytes_.size(), width});
    bytes_.append(static_cast<const char*>(value), width);
  }

  std::string bytes_;
  std::vector<Field> fields_;
};

void key(Raw& raw, const std::string& name, GgufType type) {
  raw.string(name, name + " key");
  raw.u32(static_cast<uint32_t>(type), name + " type");
}

void array(Raw& raw, const std::string& name, GgufType element_type, uint64_t count) {
  key(raw, name, GgufType::kArray);
  raw.u32(static_cast<uint32_t>(element_type), name + " element type");
  raw.u64(count, name + " count");
}

void tensor(Raw& raw, const std::string& name, const std::vector<uint64_t>& ne, ElementType type, uint64_t offset) {
  raw.string(name, name + " name");
  raw.u32(static_cast<uint32_t>(ne.size()), name + " n_dims");
  for (size_t i = 0; i < ne.size(); ++i) raw.u64(ne[i], name + " ne" + std::to_string(i));
  raw.u32(static_cast<uint32_t>(type), name + " element type");
  raw.u64(offset, name + " offset");
}

constexpr uint64_t kKeyValues = 8;

// A valid file with a value of each kind and three tensors; its last byte belongs to a tensor. `more` adds key-values.
Raw small_file(uint64_t more_count = 0, const std::function<void(Raw&)>& more = nullptr) {
  Raw raw;
  raw.raw("GGUF");
  raw.u32(3, "version");
  raw.u64(3, "tensor count");
  raw.u64(kKeyValues + more_count, "key-value count");
  key(raw, "general.alignment", GgufType::kUint32);
  raw.u32(32, "alignment");
  key(raw, "text", GgufType::kString);
  raw.string("tiny", "text value");
  key(raw, "flag", GgufType::kBool);
  raw.raw(std::string_view("\x01", 1));
  key(raw, "wide", GgufType::kFloat64);
  raw.u64(0x3ff0000000000000, "wide value");
  array(raw, "numbers", GgufType::kUint32, 3);
  raw.raw("abcdefghijkl");
  array(raw, "flags", GgufType::kBool, 2);
  raw.raw(std::string_view("\0\x01", 2));
  array(raw, "texts", GgufType::kString, 2);
  raw.string("x", "first of texts");
  raw.string("yz", "second of texts");
  array(raw, "none", GgufType::kString, 0);
  if (more) more(raw);
  tensor(raw, "a", {4, 2}, ElementType::kF32, 0);
  tensor(raw, "b", {32, 3}, ElementType::kQ8_0, 32);
  tensor(raw, "c", {3}, ElementType::kF16, 160);
  raw.pad(32);
  for (int i = 0; i < 166; ++i) raw.raw("d");
  return raw;
}

// Uses whatever a file offers; tensors must lie in the file, apart from each other.
void use(const GgufFile& file) {
  uint64_t touched = 0;
  for (const GgufKeyValue& entry : file.metadata()) {
    ASSERT_EQ(file.find(entry.key), &entry);
    touched += file.display_value(entry).size() + GgufFile::type_description(entry).size();
    touched += file.unsigned_integer(entry.key).ok() + file.integer(entry.key).ok() + file.real(entry.key).ok();
    touched += file.boolean(entry.key).ok();
    if (const auto text = file.string(entry.key); text.ok()) touched += std::string(*text).size();
    if (const auto texts = file.strings(entry.key); texts.ok()) {
      for (const std::string_view text : *texts) touched += std::string(text).size();
    }
    if (const auto all = file.integers(entry.key); all.ok()) touched += all->to_vector().size();
    if (const auto all = file.reals(entry.key); all.ok()) touched += all->to_vector().size();
    if (const auto all = file.booleans(entry.key); all.ok()) touched += all->to_vector().size();
  }
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const GgufTensor& tensor : file.tensors()) {
    ASSERT_EQ(file.find_tensor(tensor.name), &tensor);
    ASSERT_GE(tensor.offset, file.data_offset());
    ASSERT_LE(tensor.offset, file.file_bytes());
    ASSERT_LE(tensor.data.size(), file.file_bytes() - tensor.offset);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(tensor.data.data()) % 8, 0u);
    const Result<uint64_t> row = row_bytes(tensor.type, tensor.ne[0]);
    ASSERT_TRUE(row.ok());
    ASSERT_EQ(*row * static_cast<uint64_t>(tensor.rows()), tensor.data.size());
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    dequantize_row(tensor.type, tensor.data.data(), tensor.elements(), values.data());
    ranges.emplace_back(tensor.offset, tensor.offset + tensor.data.size());
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) ASSERT_LE(ranges[i - 1].second, ranges[i].first);
  ASSERT_GT(touched + 1, 0u);
}

// Opens the file and uses it; true where it was accepted. Errors must name the file.
bool survives(TestFile& file, const std::string& content) {
  file.set(content);
  const uint64_t before = allocated_bytes();
  const Result<GgufFile> opened = GgufFile::open(file.path());
  // The entries of the least size take about ten times their bytes, vectors that grow as much again; besides, room for
  // the first thousand entries.
  EXPECT_LE(allocated_bytes() - before, 24 * content.size() + 262144);
  if (!opened.ok()) {
    EXPECT_THAT(opened.status().message(), HasSubstr(file.path() + ": "));
    EXPECT_TRUE(opened.status().code() == StatusCode::kInvalidData ||
                opened.status().code() == StatusCode::kUnsupported)
        << opened.status().message();
    return false;
  }
  use(*opened);
  return true;
}

TEST(GgufHostile, AllocationsAreCounted) {
  const uint64_t before = allocated_bytes();
  const std::string text(12345, 'x');
  EXPECT_GT(allocated_bytes() - before, text.size());
}

TEST(GgufHostile, TheSmallFileIsValid) {
  TestFile file;
  EXPECT_TRUE(survives(file, small_file().bytes()));
}

TEST(GgufHostile, CutShortAnywhere) {
  const std::string whole = small_file().bytes();
  TestFile file;
  for (size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(survives(file, whole.substr(0, length))) << length;
  }
}

TEST(GgufHostile, EveryNumberAtItsExtremes) {
  const Raw whole = small_file();
  TestFile file;
  std::vector<uint64_t> extremes = {0,  1,  2,   3,     5,     12,         13,         31,
                                    32, 33, 255, 65535, 65536, 0x7fffffff, 0x80000000, kMax32};
  for (int bit = 32; bit < 64; ++bit) extremes.push_back(uint64_t{1} << bit);
  for (const uint64_t x : {uint64_t{1} << 61, uint64_t{1} << 62, uint64_t{1} << 63}) extremes.push_back(x - 1);
  for (uint64_t below = 0; below < 64; ++below) extremes.push_back(kMax64 - below);
  for (const Raw::Field& field : whole.fields()) {
    std::vector<uint64_t> values = extremes;
    values.push_back(whole.get(field) + 1);
    values.push_back(whole.get(field) - 1);
    values.push_back(whole.bytes().size());
    values.push_back(whole.bytes().size() - field.offset - field.width);
    for (const uint64_t value : values) {
      Raw damaged = whole;
      damaged.set(field, value);
      survives(file, damaged.bytes());
      ASSERT_FALSE(HasFailure()) << field.name << " = " << value;
    }
  }
}

TEST(GgufHostile, RandomDamage) {
  const Raw whole = small_file();
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  TestFile file;
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string content = whole.bytes();
    for (size_t n = below(4) + 1; n > 0; --n) {
      const size_t at = below(content.size());
      switch (below(5)) {
        case 0:
          content[at] = static_cast<char>(random());
          break;
        case 1:
          content[at] = static_cast<char>(content[at] ^ (1 << below(8)));
          break;
        case 2:
          content.erase(at, below(9) + 1);
          break;
        case 3:
          content.insert(at, below(9) + 1, static_cast<char>(random()));
          break;
        default:
          content.replace(at, std::min<size_t>(8, content.size() - at), content, below(content.size()), 8);
          break;
      }
    }
    accepted += survives(file, content);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
  // Damage to the tensors' data is no damage to the container.
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 20000);
}

struct Case {
  const char* name;
  std::function<void(Raw&)> damage;
  StatusCode code;
  const char* expected;
};

std::function<void(Raw&)> with(const char* field, uint64_t value) {
  return [field, value](Raw& raw) { raw.set(field, value); };
}

std::function<void(Raw&)> with(const char* field, uint64_t value, const char* field2, uint64_t value2) {
  return [=](Raw& raw) {
    raw.set(field, value);
    raw.set(field2, value2);
  };
}

TEST(GgufHostile, ErrorsNameThePlaceAndTheLimit) {
  const auto bad = StatusCode::kInvalidData;
  const auto other = StatusCode::kUnsupported;
  const Case cases[] = {
      {"magic", [](Raw& r) { r.bytes()[0] = '\x1b'; }, bad, "it begins with \"\\x1bGUF\", not \"GGUF\""},
      {"version 1", with("version", 1), other, "GGUF version 1; versions 2 and 3"},
      {"version 4", with("version", 4), other, "(byte 4): GGUF version 4"},
      {"big endian", with("version", 0x03000000), other, "big endian"},
      // Counts and lengths at their extremes.
      {"tensors", with("tensor count", kMax64), bad, "18446744073709551615 tensors, but the rest of the file"},
      {"tensors that wrap", with("tensor count", kMax64 / 33 + 2), bad, "tensors, but the rest of the file"},
      {"a tensor more", with("tensor count", 4), bad, "tensor 4 of 4"},
      {"key-values", with("key-value count", uint64_t{1} << 63), bad, "key-values, but the rest of the file"},
      {"a key-value more", with("key-value count", kKeyValues + 1), bad, "(byte"},
      {"key length", with("text key length", kMax64), bad, "the key is 18446744073709551615 bytes long; 1 to 65535"},
      {"key without a name", with("text key length", 0), bad, "key-value 2 of 8 (byte"},
      {"string length", with("text value length", kMax64), bad, "key 'text' (byte"},
      {"string length that wraps", with("text value length", kMax64 - 100), bad,
       "the string takes 18446744073709551515"},
      {"array length", with("numbers count", kMax64), bad, "key 'numbers' (byte"},
      {"array bytes that wrap to 0", with("numbers count", uint64_t{1} << 62), bad,
       "4611686018427387904 elements of u32"},
      {"strings that wrap to 0", with("texts count", uint64_t{1} << 61), bad, "2305843009213693952 elements of string"},
      {"string in an array", with("second of texts length", kMax64 - 7), bad, "key 'texts'"},
      {"no dimension", with("a n_dims", 0), bad, "tensor 'a' (byte"},
      {"5 dimensions", with("a n_dims", 5), bad, "5 dimensions; 1 to 4"},
      {"2^32 - 1 dimensions", with("a n_dims", kMax32), bad, "4294967295 dimensions; 1 to 4"},
      {"dimension 0", with("a ne1", 0), bad, "dimension 1 is 0; 1 to 2^63-1"},
      {"negative dimension", with("a ne1", kMax64), bad, "dimension 1 is 18446744073709551615"},
      {"name too long", with("a name length", 65), bad, "the name is 65 bytes long; 1 to 64"},
      {"name empty", with("b name length", 0), bad, "tensor 2 of 3"},
      // Products and sums that wrap, each alone.
      {"elements", with("a ne0", uint64_t{1} << 32, "a ne1", uint64_t{1} << 32), bad, "product of the dimensions"},
      {"elements to 2^63", with("a ne0", uint64_t{1} << 62, "a ne1", 2), bad, "product of the dimensions"},
      {"bytes of a row", with("a ne0", uint64_t{1} << 61, "a ne1", 1), bad, "its bytes exceed 2^63-1"},
      {"bytes of all rows", with("a ne0", uint64_t{1} << 60, "a ne1", 4), bad, "exceeds 2^63-1 bytes"},
      {"offset and size", with("a offset", kMax64 - 31), bad, "32 bytes at offset 18446744073709551584"},
      {"offset and data", with("c offset", (uint64_t{1} << 63) - 32), bad, "tensor 'c'"},
      // Ranges.
      {"beyond the end", with("c ne0", 4), bad, "8 bytes at offset 160 of the data"},
      {"overlap", with("b offset", 64), bad, "tensor 'c' at byte"},
      {"the same place", with("c offset", 0), bad, "begins before tensor"},
      {"offset not aligned", with("c offset", 168), bad, "offset 168 is no multiple of the alignment, 32"},
      {"half a block", with("b ne0", 33), bad, "blocks of 32"},
      // Types.
      {"value type", with("text type", 13), bad, "key 'text' (byte"},
      {"element type", with("numbers element type", kMax32), bad, "the type of the array's elements is 4294967295"},
      {"nested array", with("numbers element type", 9), other, "key 'numbers' (byte"},
      {"bool", [](Raw& r) { r.bytes()[r.bytes().find("flag") + 8] = 2; }, bad, "key 'flag' (byte"},
      {"bool in an array", [](Raw& r) { r.bytes()[r.bytes().find("flags") + 22] = 7; }, bad, "a bool is 7; 0 and 1"},
      {"IQ2_XS", with("b element type", 17), other, "type 17 (IQ2_XS); supported are F32, F16, BF16, Q8_0"},
      {"withdrawn type", with("b element type", 4), other, "tensor 'b' (byte"},
      {"unknown type", with("b element type", kMax32), other, "type 4294967295 (unknown)"},
      // Alignment.
      {"alignment 0", with("alignment", 0), bad, "'general.alignment' is 0; a power of two from 8 to 16777216"},
      {"alignment 33", with("alignment", 33), bad, "'general.alignment' is 33"},
      {"alignment 4", with("alignment", 4), bad, "'general.alignment' is 4"},
      {"alignment 2^31", with("alignment", 0x80000000), bad, "'general.alignment' is 2147483648"},
      {"alignment 2^24", with("alignment", 1 << 24), bad, "tensor 'b'"},
      {"alignment as f32", with("general.alignment type", 6), bad, "'general.alignment' has the type f32; an integer"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Raw raw = small_file();
    c.damage(raw);
    const TestFile file(raw.bytes());
    const Result<GgufFile> opened = GgufFile::open(file.path());
    if (opened.ok()) {
      ADD_FAILURE() << "was accepted";
      continue;
    }
    EXPECT_EQ(opened.status().code(), c.code);
    EXPECT_THAT(opened.status().message(), AllOf(HasSubstr(file.path() + ": "), HasSubstr(c.expected)));
  }
}

TEST(GgufHostile, NamesMustBeUnique) {
  Raw raw = small_file();
  std::string& bytes = raw.bytes();
  bytes.replace(bytes.find("wide"), 4, "flag");
  TestFile file(bytes);
  EXPECT_THAT(GgufFile::open(file.path()).status().message(), HasSubstr("key 'flag' stands more than once"));

  raw = small_file();
  for (const Raw::Field& field : raw.fields()) {
    if (field.name == "b name length") raw.bytes()[field.offset + 8] = 'a';
  }
  file.set(raw.bytes());
  EXPECT_THAT(GgufFile::open(file.path()).status().message(), HasSubstr("tensor 'a' stands more than once"));
}

TEST(GgufHostile, APartOfASplitModelIsRefused) {
  const auto split = [](uint32_t count) {
    return small_file(1,
                      [count](Raw& raw) {
                        key(raw, "split.count", GgufType::kUint32);
                        raw.u32(count, "split.count");
                      })
        .bytes();
  };
  TestFile file(split(3));
  const Status status = GgufFile::open(file.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("one of the 3 parts of a split model"), HasSubstr("'split.count'")));
  file.set(split(1));
  EXPECT_TRUE(GgufFile::open(file.path()).ok());
}

TEST(GgufHostile, AFileOfZerosTakesNoMemory) {
  // The counts claim what the size allows; the entries are nonsense.
  Raw raw;
  raw.raw("GGUF");
  raw.u32(3, "version");
  raw.u64(0, "tensor count");
  raw.u64((4 << 20) / 14, "key-value count");
  raw.bytes().resize(24 + (4 << 20));
  TestFile file(raw.bytes());
  const uint64_t before = allocated_bytes();
  const Result<GgufFile> opened = GgufFile::open(file.path());
  EXPECT_LE(allocated_bytes() - before, 200000u);
  EXPECT_THAT(opened.status().message(), HasSubstr("the key is 0 bytes long"));
}

TEST(GgufHostile, ManyEntriesTakeTimeAndMemoryInProportion) {
  // The greatest number of the smallest entries: 200,000 keys of 4 bytes and more.
  constexpr uint64_t kCount = 200000;
  Raw raw;
  raw.raw("GGUF");
  raw.u32(3, "version");
  raw.u64(0, "tensor count");
  raw.u64(kCount, "key-value count");
  std::string& bytes = raw.bytes();
  for (uint64_t i = 0; i < kCount; ++i) {
    char entry[8 + 4 + 4 + 1] = {4};
    for (int digit = 0; digit < 4; ++digit) entry[8 + digit] = static_cast<char>('!' + (i >> (5 * digit)) % 32);
    entry[12] = 0;  // u8
    bytes.append(entry, sizeof(entry));
  }
  TestFile file;
  EXPECT_TRUE(survives(file, bytes));
}

}  // namespace
}  // namespace batchwright
