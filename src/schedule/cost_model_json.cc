// The form of a cost model in a file.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "base/json.h"
#include "base/json_writer.h"
#include "schedule/cost_model.h"

namespace batchwright {
namespace {

constexpr int64_t kFormVersion = 3;
constexpr size_t kPointsMax = 1000;
constexpr int64_t kWholeMax = 1 << 24;

struct NamedSeconds {
  const char* name;
  double CostModel::*value;
};
constexpr NamedSeconds kSeconds[] = {
    {"fixed_seconds", &CostModel::fixed_seconds}, {"store_seconds", &CostModel::store_seconds},
    {"pair_seconds", &CostModel::pair_seconds},   {"row_page_seconds", &CostModel::row_page_seconds},
    {"visit_seconds", &CostModel::visit_seconds}, {"round_seconds", &CostModel::round_seconds}};

struct NamedCurve {
  const char* name;
  CostCurve CostModel::*value;
};
constexpr NamedCurve kCurves[] = {
    {"layers", &CostModel::layers}, {"argmax", &CostModel::argmax}, {"full", &CostModel::full}};

bool read_seconds(const JsonValue* value, double& seconds) {
  if (value == nullptr || !value->is_number()) return false;
  seconds = value->as_double();
  return std::isfinite(seconds) && seconds >= 0;
}

bool read_whole(const JsonValue* value, int64_t lowest, int& out) {
  const auto number = value == nullptr ? std::nullopt : value->to_int64();
  if (!number || *number < lowest || *number > kWholeMax) return false;
  out = static_cast<int>(*number);
  return true;
}

bool read_curve(const JsonValue* value, CostCurve& curve) {
  if (value == nullptr || !value->is_array() || value->as_array().size() > kPointsMax) return false;
  std::vector<CostCurve::Point> points;
  for (const JsonValue& pair : value->as_array()) {
    if (!pair.is_array() || pair.as_array().size() != 2) return false;
    CostCurve::Point& point = points.emplace_back();
    if (!read_seconds(&pair.as_array()[0], point.count) || !read_seconds(&pair.as_array()[1], point.seconds)) {
      return false;
    }
  }
  if (!CostCurve::valid(points)) return false;
  curve = CostCurve(std::move(points));
  return true;
}

bool read_shape(const JsonValue& object, WorkShape& shape) {
  const JsonValue* const classes = object.find("classes");
  if (classes == nullptr || !classes->is_array() || classes->as_array().empty() ||
      classes->as_array().size() > kPointsMax) {
    return false;
  }
  for (const JsonValue& value : classes->as_array()) {
    WorkShape::Class& of_class = shape.classes.emplace_back();
    if (!read_whole(value.find("window"), 0, of_class.window)) return false;
    if (!read_whole(value.find("layers"), 1, of_class.layers)) return false;
  }
  return read_whole(object.find("kv_heads"), 1, shape.kv_heads) &&
         read_whole(object.find("rows_per_item"), 1, shape.rows_per_item) &&
         read_whole(object.find("threads"), 1, shape.threads);
}

}  // namespace

std::string to_json(const CostModel& model, std::string_view key) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("version", kFormVersion);
  out.member("key", key);
  out.key("classes");
  out.begin_array();
  for (const WorkShape::Class& of_class : model.shape.classes) {
    out.begin_object();
    out.member("window", of_class.window);
    out.member("layers", of_class.layers);
    out.end_object();
  }
  out.end_array();
  out.member("kv_heads", model.shape.kv_heads);
  out.member("rows_per_item", model.shape.rows_per_item);
  out.member("threads", model.shape.threads);
  out.member("factor", model.factor);
  for (const auto& [name, value] : kSeconds) out.member(name, model.*value);
  for (const auto& [name, value] : kCurves) {
    out.key(name);
    out.begin_array();
    for (const CostCurve::Point& point : (model.*value).points()) {
      out.begin_array();
      out.value(point.count);
      out.value(point.seconds);
      out.end_array();
    }
    out.end_array();
  }
  out.end_object();
  return text + '\n';
}

std::optional<CostModel> read_cost_model(std::string_view text, std::string_view key) {
  const auto parsed = parse_json(text);
  if (!parsed.ok()) return std::nullopt;
  const JsonValue* const version = parsed->find("version");
  const JsonValue* const of = parsed->find("key");
  if (version == nullptr || version->to_int64() != kFormVersion) return std::nullopt;
  if (of == nullptr || !of->is_string() || of->as_string() != key) return std::nullopt;
  CostModel model;
  if (!read_shape(*parsed, model.shape)) return std::nullopt;
  if (!read_seconds(parsed->find("factor"), model.factor) || model.factor == 0) return std::nullopt;
  for (const auto& [name, value] : kSeconds) {
    if (!read_seconds(parsed->find(name), model.*value)) return std::nullopt;
  }
  for (const auto& [name, value] : kCurves) {
    if (!read_curve(parsed->find(name), model.*value)) return std::nullopt;
  }
  if (model.layers.points().empty()) return std::nullopt;
  return model;
}

}  // namespace batchwright
