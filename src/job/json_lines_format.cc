#include "job/json_lines_format.h"

#include "job/line_scanner.h"

namespace batchwright {
namespace {

class JsonLinesFormat : public RowFormat {
 public:
  explicit JsonLinesFormat(const ProtocolLimits& limits) : limits_(limits) {}

  std::unique_ptr<RecordScanner> scan(const ReadableFile& file) const override {
    return std::make_unique<LineScanner>(file, limits_.line_bytes);
  }

  std::variant<Row, RowError> parse(std::string_view text, int64_t line, int64_t /*row*/) const override {
    return parse_row(text, line, limits_);
  }

  RowError too_long() const override { return line_too_long(limits_); }
  Hash128 hash() const override { return hash128("JSON Lines"); }
  const std::vector<std::string>& carried() const override { return none_; }

 private:
  const ProtocolLimits limits_;
  const std::vector<std::string> none_;
};

}  // namespace

std::unique_ptr<RowFormat> json_lines_format(const ProtocolLimits& limits) {
  return std::make_unique<JsonLinesFormat>(limits);
}

}  // namespace batchwright
