#include "text/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/literals.h"
#include "text/jinja/runtime.h"

namespace batchwright::jinja {
namespace {

constexpr int kMaxNestingEver = 200;

}  // namespace

ExpressionParser::ExpressionParser(Program& program, const TemplateLimits& limits)
    : TokenCursor(tokenize(program.normalized)),
      program_(program),
      max_nesting_(std::clamp(limits.max_nesting, 1, kMaxNestingEver)) {
  program_.caller_id = intern("caller");
  program_.varargs_id = intern("varargs");
  program_.kwargs_id = intern("kwargs");
  program_.loop_id = intern("loop");
}

void ExpressionParser::refuse_nesting() const {
  throw TemplateError{resource_exhausted(fmt::format(
      "chat template, line {}: nested deeper than the limit of {} (max_nesting)", current().line, max_nesting_))};
}

NameId ExpressionParser::intern(std::string_view name) {
  const auto found = name_ids_.find(name);
  if (found != name_ids_.end()) return found->second;
  const auto id = static_cast<NameId>(program_.names.size());
  program_.names.emplace_back(name);
  name_ids_.emplace(program_.names.back(), id);
  return id;
}

Expr* ExpressionParser::make(ExprKind kind, int line, std::vector<Expr*> operands) {
  Expr& e = program_.expressions.emplace_back();
  e.kind = kind;
  e.line = line;
  e.operands = std::move(operands);
  return &e;
}

Expr* ExpressionParser::finished(Expr* e) const {
  const auto cover = [e](const Expr* part) {
    if (part != nullptr) e->height = std::max(e->height, part->height + 1);
  };
  for (const Expr* part : e->operands) cover(part);
  for (const Expr* part : e->arguments) cover(part);
  for (const auto& [name, part] : e->named_arguments) cover(part);
  cover(e->star);
  cover(e->double_star);
  if (e->height > max_nesting_ + 1) refuse_nesting();
  return e;
}

const Text* ExpressionParser::constant_text(std::string_view bytes) {
  TextBuilder builder;
  builder.append(bytes, true);
  return program_.constants.make<Text>(std::move(builder));
}

bool ExpressionParser::is_tuple_end(std::string_view end_name) const {
  const Token& token = current();
  return token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd || token.is_operator(")") ||
         (!end_name.empty() && token.is_name(end_name));
}

Expr* ExpressionParser::parse_tuple(TupleOptions options) {
  const int line = current().line;
  std::vector<Expr*> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_operator(",");
    if (is_tuple_end(options.end_name)) break;
    items.push_back(options.with_conditional ? parse_expression() : parse_or_nested());
    if (!current().is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items.front();
  if (!is_tuple && !options.in_parentheses) fail(fmt::format("expected an expression, found {}", shown(current())));
  return finished(make(ExprKind::kTuple, line, std::move(items)));
}

Expr* ExpressionParser::parse_expression() {
  const Nesting nesting(*this);
  const int line = current().line;
  Expr* value = parse_or();
  while (skip_name("if")) {
    Expr* const condition = parse_or();
    Expr* e = make(ExprKind::kConditional, line, {condition, value});
    if (skip_name("else")) e->operands.push_back(parse_expression());
    value = finished(e);
  }
  return value;
}

Expr* ExpressionParser::parse_or_nested() {
  const Nesting nesting(*this);
  return parse_or();
}

template <class Next>
Expr* ExpressionParser::parse_list_of(ExprKind kind, std::string_view word, Next next) {
  const int line = current().line;
  std::vector<Expr*> operands = {next()};
  while (skip_name(word)) operands.push_back(next());
  return operands.size() == 1 ? operands.front() : finished(make(kind, line, std::move(operands)));
}

Expr* ExpressionParser::parse_or() {
  return parse_list_of(ExprKind::kOr, "or", [this] { return parse_and(); });
}

Expr* ExpressionParser::parse_and() {
  return parse_list_of(ExprKind::kAnd, "and", [this] { return parse_not(); });
}

Expr* ExpressionParser::parse_not() {
  if (!current().is_name("not")) return parse_compare();
  const Nesting nesting(*this);
  const int line = take().line;
  return finished(make(ExprKind::kNot, line, {parse_not()}));
}

std::optional<Operator> ExpressionParser::take_comparison() {
  static constexpr std::pair<std::string_view, Operator> kComparisons[] = {
      {"==", Operator::kEqual},     {"!=", Operator::kNotEqual}, {"<", Operator::kLess},
      {"<=", Operator::kLessEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterEqual}};
  for (const auto& [text, op] : kComparisons) {
    if (skip_operator(text)) return op;
  }
  if (skip_name("in")) return Operator::kIn;
  if (current().is_name("not") && look().is_name("in")) {
    take();
    take();
    return Operator::kNotIn;
  }
  return std::nullopt;
}

Expr* ExpressionParser::parse_compare() {
  const int line = current().line;
  Expr* const first = parse_sum();
  Expr* e = nullptr;
  while (const auto op = take_comparison()) {
    if (e == nullptr) e = make(ExprKind::kCompare, line, {first});
    e->operators.push_back(*op);
    e->operands.push_back(parse_sum());
  }
  return e == nullptr ? first : finished(e);
}

template <class Next>
Expr* ExpressionParser::parse_arithmetic(Operators operators, Next next) {
  const int line = current().line;
  Expr* const first = next();
  Expr* e = nullptr;
  while (true) {
    const auto op = std::find_if(operators.begin(), operators.end(),
                                 [this](const auto& candidate) { return current().is_operator(candidate.first); });
    if (op == operators.end()) return e == nullptr ? first : finished(e);
    take();
    if (e == nullptr) e = make(ExprKind::kArithmetic, line, {first});
    e->operators.push_back(op->second);
    e->operands.push_back(next());
  }
}

Expr* ExpressionParser::parse_sum() {
  return parse_arithmetic({{"+", Operator::kAdd}, {"-", Operator::kSubtract}}, [this] { return parse_concat(); });
}

Expr* ExpressionParser::parse_concat() {
  const int line = current().line;
  std::vector<Expr*> operands = {parse_product()};
  while (skip_operator("~")) operands.push_back(parse_product());
  return operands.size() == 1 ? operands.front() : finished(make(ExprKind::kConcat, line, std::move(operands)));
}

Expr* ExpressionParser::parse_product() {
  return parse_arithmetic(
      {{"*", Operator::kMultiply}, {"/", Operator::kDivide}, {"//", Operator::kFloorDivide}, {"%", Operator::kModulo}},
      [this] { return parse_power(); });
}

Expr* ExpressionParser::parse_power() {
  return parse_arithmetic({{"**", Operator::kPower}}, [this] { return parse_unary(true); });
}

Expr* ExpressionParser::parse_unary(bool with_filters) {
  const int line = current().line;
  Expr* e = nullptr;
  if (current().is_operator("-") || current().is_operator("+")) {
    const Nesting nesting(*this);
    const ExprKind kind = take().text == "-" ? ExprKind::kNegate : ExprKind::kPlus;
    e = finished(make(kind, line, {parse_unary(false)}));
  } else {
    e = parse_primary();
  }
  e = parse_postfix(e);
  return with_filters ? parse_filter_expression(e) : e;
}

Expr* ExpressionParser::constant(int line, Value value) {
  Expr* e = make(ExprKind::kConstant, line);
  e->constant = value;
  return e;
}

Expr* ExpressionParser::parse_primary() {
  const Token& token = current();
  switch (token.type) {
    case TokenType::kName:
      return parse_name(take());
    case TokenType::kString:
      return parse_string();
    case TokenType::kInteger:
      return constant(token.line, integer_value(take()));
    case TokenType::kFloat:
      return constant(token.line, float_value(take()));
    default:
      break;
  }
  if (skip_operator("(")) {
    Expr* const e = parse_tuple({.in_parentheses = true});
    expect_operator(")");
    return e;
  }
  if (skip_operator("[")) return parse_list(token.line);
  if (skip_operator("{")) return parse_dict(token.line);
  fail(fmt::format("unexpected {}", shown(token)));
}

Expr* ExpressionParser::parse_name(const Token& token) {
  const std::string_view name = token.text;
  if (name == "true" || name == "True") return constant(token.line, Value(true));
  if (name == "false" || name == "False") return constant(token.line, Value(false));
  if (name == "none" || name == "None") return constant(token.line, Value());
  Expr* e = make(ExprKind::kName, token.line);
  e->name = intern(name);
  if (macro_ != nullptr) {
    macro_->uses_caller |= e->name == program_.caller_id;
    macro_->uses_varargs |= e->name == program_.varargs_id;
    macro_->uses_kwargs |= e->name == program_.kwargs_id;
  }
  return e;
}

Expr* ExpressionParser::parse_string() {
  const int line = current().line;
  std::string bytes;
  while (current().type == TokenType::kString) bytes += unescaped(take());
  return constant(line, Value(constant_text(bytes)));
}

Expr* ExpressionParser::parse_list(int line) {
  Expr* e = make(ExprKind::kList, line);
  while (!current().is_operator("]")) {
    if (!e->operands.empty()) expect_operator(",");
    if (current().is_operator("]")) break;
    e->operands.push_back(parse_expression());
  }
  expect_operator("]");
  return finished(e);
}

Expr* ExpressionParser::parse_dict(int line) {
  Expr* e = make(ExprKind::kDict, line);
  while (!current().is_operator("}")) {
    if (!e->operands.empty()) expect_operator(",");
    if (current().is_operator("}")) break;
    e->operands.push_back(parse_expression());
    expect_operator(":");
    e->operands.push_back(parse_expression());
  }
  expect_operator("}");
  return finished(e);
}

Expr* ExpressionParser::parse_postfix(Expr* e) {
  while (true) {
    const int line = current().line;
    if (skip_operator(".")) {
      e = parse_attribute(e, line);
    } else if (skip_operator("[")) {
      e = parse_subscript(e, line);
    } else if (skip_operator("(")) {
      e = parse_call(e, line);
    } else {
      return e;
    }
  }
}

Expr* ExpressionParser::parse_filter_expression(Expr* e) {
  while (true) {
    const int line = current().line;
    if (current().is_operator("|")) {
      e = parse_filters(e, false);
    } else if (skip_name("is")) {
      e = parse_test(e, line);
    } else if (skip_operator("(")) {
      e = parse_call(e, line);
    } else {
      return e;
    }
  }
}

Expr* ExpressionParser::parse_attribute(Expr* object, int line) {
  const Token& token = take();
  if (token.type == TokenType::kName) {
    Expr* e = make(ExprKind::kAttribute, line, {object});
    e->name = intern(token.text);
    return finished(e);
  }
  if (token.type != TokenType::kInteger) fail_at(line, "expected a name or a number behind '.'");
  return finished(make(ExprKind::kItem, line, {object, constant(line, integer_value(token))}));
}

Expr* ExpressionParser::parse_subscript(Expr* object, int line) {
  std::vector<Expr*> parts;
  Expr* slice = nullptr;
  while (!current().is_operator("]")) {
    if (!parts.empty()) expect_operator(",");
    if (slice != nullptr) fail("a slice among several subscripts");
    parts.push_back(parse_subscript_part(object, slice));
  }
  expect_operator("]");
  if (slice != nullptr) {
    if (parts.size() > 1) fail_at(line, "a slice among several subscripts");
    return finished(slice);
  }
  Expr* const index = parts.size() == 1 ? parts.front() : finished(make(ExprKind::kTuple, line, std::move(parts)));
  return finished(make(ExprKind::kItem, line, {object, index}));
}

Expr* ExpressionParser::parse_subscript_part(Expr* object, Expr*& slice) {
  const int line = current().line;
  Expr* parts[3] = {nullptr, nullptr, nullptr};
  size_t colons = 0;
  while (true) {
    if (skip_operator(":")) {
      if (++colons > 2) fail("a slice with more than two ':'");
    } else if (current().is_operator("]") || current().is_operator(",")) {
      break;
    } else {
      if (parts[colons] != nullptr) fail(fmt::format("expected ']', found {}", shown(current())));
      parts[colons] = parse_expression();
    }
  }
  if (colons == 0) {
    if (parts[0] == nullptr) fail("an empty subscript");
    return parts[0];
  }
  slice = make(ExprKind::kSlice, line, {object, parts[0], parts[1], parts[2]});
  return slice;
}

void ExpressionParser::parse_arguments(Expr& e) {
  bool first = true;
  while (!current().is_operator(")")) {
    if (!std::exchange(first, false)) expect_operator(",");
    if (current().is_operator(")")) break;
    const bool named_before = !e.named_arguments.empty() || e.double_star != nullptr;
    if (skip_operator("*")) {
      if (e.star != nullptr || e.double_star != nullptr) fail("more than one '*' argument");
      e.star = parse_expression();
    } else if (skip_operator("**")) {
      if (e.double_star != nullptr) fail("more than one '**' argument");
      e.double_star = parse_expression();
    } else if (current().type == TokenType::kName && look().is_operator("=")) {
      if (e.double_star != nullptr) fail("a named argument behind '**'");
      const std::string_view name = take().text;
      take();
      e.named_arguments.emplace_back(name, parse_expression());
    } else {
      if (e.star != nullptr || named_before) fail("a positional argument behind a named one");
      e.arguments.push_back(parse_expression());
    }
  }
  expect_operator(")");
}

Expr* ExpressionParser::parse_call(Expr* callee, int line) {
  Expr* e = make(ExprKind::kCall, line, {callee});
  parse_arguments(*e);
  return finished(e);
}

Expr* ExpressionParser::parse_filters(Expr* object, bool inline_start) {
  Expr* chain = object;
  while (current().is_operator("|") || inline_start) {
    if (!inline_start) take();
    inline_start = false;
    const int line = current().line;
    std::string name(expect_any_name());
    while (skip_operator(".")) name.append(".").append(expect_any_name());
    Expr* e = make(ExprKind::kFilter, line, {chain});
    e->name = intern(name);
    e->filter = find_filter(name);
    if (skip_operator("(")) parse_arguments(*e);
    chain = finished(e);
  }
  return chain;
}

Expr* ExpressionParser::parse_test(Expr* object, int line) {
  Expr* e = make(ExprKind::kTest, line, {object});
  e->negated = skip_name("not");
  std::string name(expect_any_name());
  while (skip_operator(".")) name.append(".").append(expect_any_name());
  e->name = intern(name);
  e->test = find_test(name);
  if (skip_operator("(")) {
    parse_arguments(*e);
  } else if (begins_argument(current())) {
    if (current().is_name("is")) fail("tests cannot be chained with 'is'");
    e->arguments.push_back(parse_postfix(parse_primary_nested()));
  }
  return finished(e);
}

Expr* ExpressionParser::parse_primary_nested() {
  const Nesting nesting(*this);
  return parse_primary();
}

bool ExpressionParser::begins_argument(const Token& token) {
  switch (token.type) {
    case TokenType::kString:
    case TokenType::kInteger:
    case TokenType::kFloat:
      return true;
    case TokenType::kName:
      return token.text != "else" && token.text != "or" && token.text != "and";
    default:
      return token.is_operator("(") || token.is_operator("[") || token.is_operator("{");
  }
}

}  // namespace batchwright::jinja
