#include "text/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <map>
#include <optional>

#include "base/utf8.h"
#include "text/jinja/lexer.h"
#include "text/jinja/runtime.h"

namespace batchwright::jinja {
namespace {

constexpr int kMaxNestingEver = 200;

using Names = std::initializer_list<std::string_view>;

// Recursive descent in the order of precedence of Jinja2's own parser.
class Parser {
 public:
  Parser(Program& program, const TemplateLimits& limits)
      : program_(program),
        max_nesting_(std::clamp(limits.max_nesting, 1, kMaxNestingEver)),
        tokens_(tokenize(program.normalized)) {
    program_.caller_id = intern("caller");
    program_.varargs_id = intern("varargs");
    program_.kwargs_id = intern("kwargs");
    program_.loop_id = intern("loop");
  }

  void run() {
    program_.body = parse_body({});
    if (current().type != TokenType::kEnd) fail(fmt::format("unexpected '{}'", current().text));
  }

 private:
  // One level of the source's nesting.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > parser_.max_nesting_) parser_.refuse_nesting();
    }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  [[noreturn]] void fail(const std::string& message) const { fail_at(current().line, message); }
  [[noreturn]] void fail_at(int line, const std::string& message) const {
    throw TemplateError{invalid_data(fmt::format("chat template, line {}: {}", line, message))};
  }
  [[noreturn]] void refuse_nesting() const {
    throw TemplateError{resource_exhausted(fmt::format(
        "chat template, line {}: nested deeper than the limit of {} (max_nesting)", current().line, max_nesting_))};
  }

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (token.type != TokenType::kEnd) ++at_;
    return token;
  }
  bool skip_operator(std::string_view which) {
    if (!current().is_operator(which)) return false;
    ++at_;
    return true;
  }
  bool skip_name(std::string_view which) {
    if (!current().is_name(which)) return false;
    ++at_;
    return true;
  }
  std::string shown(const Token& token) const {
    switch (token.type) {
      case TokenType::kEnd:
        return "the end of the template";
      case TokenType::kBlockEnd:
      case TokenType::kVariableEnd:
        return "the end of the tag";
      default:
        return fmt::format("'{}'", token.text.substr(0, 40));
    }
  }
  void expect_operator(std::string_view which) {
    if (!skip_operator(which)) fail(fmt::format("expected '{}', found {}", which, shown(current())));
  }
  void expect_name(std::string_view which) {
    if (!skip_name(which)) fail(fmt::format("expected '{}', found {}", which, shown(current())));
  }
  void expect(TokenType type, std::string_view what) {
    if (current().type != type) fail(fmt::format("expected {}, found {}", what, shown(current())));
    ++at_;
  }
  std::string_view expect_any_name() {
    if (current().type != TokenType::kName) fail(fmt::format("expected a name, found {}", shown(current())));
    return take().text;
  }

  NameId intern(std::string_view name) {
    const auto found = name_ids_.find(name);
    if (found != name_ids_.end()) return found->second;
    const auto id = static_cast<NameId>(program_.names.size());
    program_.names.emplace_back(name);
    name_ids_.emplace(program_.names.back(), id);
    return id;
  }

  Expr* make(ExprKind kind, int line, std::vector<Expr*> operands = {}) {
    Expr& e = program_.expressions.emplace_back();
    e.kind = kind;
    e.line = line;
    e.operands = std::move(operands);
    return &e;
  }

  // To be called once all of the node's parts are in place. Evaluation recurses as deep as the tree is high, and long
  // chains of postfixes make high trees without nesting.
  Expr* finished(Expr* e) const {
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

  Stmt* make_stmt(StmtKind kind, int line) {
    Stmt& s = program_.statements.emplace_back();
    s.kind = kind;
    s.line = line;
    return &s;
  }

  const Text* constant_text(std::string_view bytes) {
    TextBuilder builder;
    builder.append(bytes, true);
    return program_.constants.make<Text>(std::move(builder));
  }

  // ---- statements ----

  // Up to a tag that begins with one of the names, which stays current; or to the end of the template.
  Body parse_body(Names ends) {
    const Nesting nesting(*this);
    Body body;
    while (true) {
      const Token& token = current();
      switch (token.type) {
        case TokenType::kData: {
          Stmt* s = make_stmt(StmtKind::kData, token.line);
          s->text = constant_text(token.text);
          body.push_back(s);
          take();
          break;
        }
        case TokenType::kVariableBegin: {
          take();
          Stmt* s = make_stmt(StmtKind::kOutput, token.line);
          s->value = parse_tuple({});
          expect(TokenType::kVariableEnd, "'}}'");
          body.push_back(s);
          break;
        }
        case TokenType::kBlockBegin: {
          const Token& name = look();
          if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return name.is_name(end); })) {
            take();
            return body;
          }
          take();
          body.push_back(parse_statement());
          expect(TokenType::kBlockEnd, "'%}'");
          break;
        }
        case TokenType::kEnd:
          if (ends.size() > 0) fail(fmt::format("the template ends before '{}'", *(ends.end() - 1)));
          return body;
        default:
          fail(fmt::format("unexpected {}", shown(token)));
      }
    }
  }

  // The body between the end of an opening tag and the tag `end`, whose name is taken.
  Body parse_body_until(std::string_view end) {
    expect(TokenType::kBlockEnd, "'%}'");
    Body body = parse_body({end});
    expect_name(end);
    return body;
  }

  Stmt* parse_statement() {
    const Token& token = current();
    if (token.type != TokenType::kName) fail(fmt::format("expected the name of a tag, found {}", shown(token)));
    take();
    const std::string_view name = token.text;
    if (name == "if") return parse_if(token.line);
    if (name == "for") return parse_for(token.line);
    if (name == "set") return parse_set(token.line);
    if (name == "macro") return parse_macro(token.line);
    if (name == "call") return parse_call_block(token.line);
    if (name == "filter") return parse_filter_block(token.line);
    if (name == "with") return parse_with(token.line);
    if (name == "generation") return parse_generation(token.line);
    if (name == "print") {
      Stmt* s = make_stmt(StmtKind::kOutput, token.line);
      s->value = parse_tuple({});
      return s;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) fail_at(token.line, fmt::format("'{}' outside of a loop", name));
      return make_stmt(name == "break" ? StmtKind::kBreak : StmtKind::kContinue, token.line);
    }
    for (const std::string_view known :
         {"block", "extends", "include", "import", "from", "autoescape", "do", "trans"}) {
      if (name == known) {
        throw TemplateError{
            unsupported(fmt::format("chat template, line {}: the tag '{}' is not supported", token.line, name))};
      }
    }
    fail_at(token.line, fmt::format("unknown tag {}", shown(token)));
  }

  Stmt* parse_if(int line) {
    Stmt* s = make_stmt(StmtKind::kIf, line);
    while (true) {
      Expr* condition = parse_tuple({.with_conditional = false});
      expect(TokenType::kBlockEnd, "'%}'");
      Body body = parse_body({"elif", "else", "endif"});
      s->branches.emplace_back(condition, std::move(body));
      if (skip_name("elif")) continue;
      if (skip_name("else"))
        s->else_body = parse_body_until("endif");
      else
        expect_name("endif");
      return s;
    }
  }

  Stmt* parse_for(int line) {
    Stmt* s = make_stmt(StmtKind::kFor, line);
    s->target = parse_target("in", false);
    expect_name("in");
    s->value = parse_tuple({.with_conditional = false, .end_name = "recursive"});
    if (skip_name("if")) s->condition = parse_expression();
    if (current().is_name("recursive")) {
      throw TemplateError{unsupported(fmt::format("chat template, line {}: recursive loops are not supported", line))};
    }
    expect(TokenType::kBlockEnd, "'%}'");
    ++loops_;
    s->body = parse_body({"else", "endfor"});
    --loops_;
    if (skip_name("else"))
      s->else_body = parse_body_until("endfor");
    else
      expect_name("endfor");
    return s;
  }

  Stmt* parse_set(int line) {
    Stmt* s = make_stmt(StmtKind::kSet, line);
    s->target = parse_target({}, true);
    if (skip_operator("=")) {
      s->value = parse_tuple({});
      return s;
    }
    s->kind = StmtKind::kSetBlock;
    s->filter = parse_filters(nullptr, false);
    s->body = parse_body_until("endset");
    return s;
  }

  Macro* make_macro() { return &program_.macros.emplace_back(); }

  void parse_signature(Macro& macro) {
    expect_operator("(");
    while (!current().is_operator(")")) {
      if (!macro.parameters.empty()) expect_operator(",");
      if (current().is_operator(")")) break;
      const NameId name = intern(assignable(expect_any_name()));
      if (skip_operator("="))
        macro.defaults.push_back(parse_expression());
      else if (!macro.defaults.empty())
        fail("a parameter without a default behind one with a default");
      macro.parameters.push_back(name);
    }
    expect_operator(")");
  }

  void parse_macro_body(Macro& macro, std::string_view end) {
    Macro* const outer = std::exchange(macro_, &macro);
    const int outer_loops = std::exchange(loops_, 0);
    macro.body = parse_body_until(end);
    loops_ = outer_loops;
    macro_ = outer;
  }

  Stmt* parse_macro(int line) {
    Stmt* s = make_stmt(StmtKind::kMacro, line);
    s->macro = make_macro();
    s->macro->name = assignable(expect_any_name());
    s->macro->name_id = intern(s->macro->name);
    Macro* const outer = std::exchange(macro_, s->macro);
    parse_signature(*s->macro);
    macro_ = outer;
    parse_macro_body(*s->macro, "endmacro");
    if (!current().is_operator("(")) skip_name(s->macro->name);
    return s;
  }

  Stmt* parse_call_block(int line) {
    Stmt* s = make_stmt(StmtKind::kCallBlock, line);
    s->macro = make_macro();
    s->macro->name = "caller";
    s->macro->name_id = program_.caller_id;
    if (current().is_operator("(")) parse_signature(*s->macro);
    s->value = parse_expression();
    if (s->value->kind != ExprKind::kCall) fail_at(line, "expected a call");
    parse_macro_body(*s->macro, "endcall");
    return s;
  }

  Stmt* parse_filter_block(int line) {
    Stmt* s = make_stmt(StmtKind::kFilterBlock, line);
    s->filter = parse_filters(nullptr, true);
    s->body = parse_body_until("endfilter");
    return s;
  }

  Stmt* parse_with(int line) {
    Stmt* s = make_stmt(StmtKind::kScope, line);
    while (current().type != TokenType::kBlockEnd) {
      if (!s->assignments.empty()) expect_operator(",");
      Expr* const target = parse_target({}, false);
      expect_operator("=");
      s->assignments.emplace_back(target, parse_expression());
    }
    s->body = parse_body_until("endwith");
    return s;
  }

  // Marks what the model said, for training; here it only has a scope of its own, as transformers' call block has.
  Stmt* parse_generation(int line) {
    Stmt* s = make_stmt(StmtKind::kScope, line);
    s->body = parse_body_until("endgeneration");
    return s;
  }

  std::string_view assignable(std::string_view name) const {
    for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (name == reserved) fail(fmt::format("cannot assign to '{}'", name));
    }
    return name;
  }

  Target parse_target(std::string_view end_name, bool with_namespace) {
    const int line = current().line;
    std::vector<Expr*> targets;
    bool is_tuple = false;
    while (true) {
      if (!targets.empty()) expect_operator(",");
      if (is_tuple_end(end_name)) break;
      targets.push_back(parse_one_target(end_name, with_namespace));
      if (!current().is_operator(",")) break;
      is_tuple = true;
    }
    if (!is_tuple && targets.empty()) fail("expected a name to assign to");
    return is_tuple ? finished(make(ExprKind::kTuple, line, std::move(targets))) : targets.front();
  }

  Target parse_one_target(std::string_view end_name, bool with_namespace) {
    const Nesting nesting(*this);
    const int line = current().line;
    if (skip_operator("(")) {
      Target const inner = parse_target({}, false);
      expect_operator(")");
      return inner;
    }
    Expr* name = make(ExprKind::kName, line);
    name->name = intern(assignable(expect_any_name()));
    if (!with_namespace || !end_name.empty() || !skip_operator(".")) return name;
    Expr* attribute = make(ExprKind::kAttribute, line, {name});
    attribute->name = intern(expect_any_name());
    return finished(attribute);
  }

  // ---- expressions ----

  struct TupleOptions {
    bool with_conditional = true;
    std::string_view end_name = {};
    bool in_parentheses = false;
  };

  bool is_tuple_end(std::string_view end_name) const {
    const Token& token = current();
    return token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd || token.is_operator(")") ||
           (!end_name.empty() && token.is_name(end_name));
  }

  Expr* parse_tuple(TupleOptions options) {
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

  Expr* parse_expression() {
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

  Expr* parse_or_nested() {
    const Nesting nesting(*this);
    return parse_or();
  }

  template <class Next>
  Expr* parse_list_of(ExprKind kind, std::string_view word, Next next) {
    const int line = current().line;
    std::vector<Expr*> operands = {next()};
    while (skip_name(word)) operands.push_back(next());
    return operands.size() == 1 ? operands.front() : finished(make(kind, line, std::move(operands)));
  }

  Expr* parse_or() {
    return parse_list_of(ExprKind::kOr, "or", [this] { return parse_and(); });
  }

  Expr* parse_and() {
    return parse_list_of(ExprKind::kAnd, "and", [this] { return parse_not(); });
  }

  Expr* parse_not() {
    if (!current().is_name("not")) return parse_compare();
    const Nesting nesting(*this);
    const int line = take().line;
    return finished(make(ExprKind::kNot, line, {parse_not()}));
  }

  std::optional<Operator> take_comparison() {
    static constexpr std::pair<std::string_view, Operator> kComparisons[] = {
        {"==", Operator::kEqual},     {"!=", Operator::kNotEqual}, {"<", Operator::kLess},
        {"<=", Operator::kLessEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterEqual}};
    for (const auto& [text, op] : kComparisons) {
      if (skip_operator(text)) return op;
    }
    if (skip_name("in")) return Operator::kIn;
    if (current().is_name("not") && look().is_name("in")) {
      at_ += 2;
      return Operator::kNotIn;
    }
    return std::nullopt;
  }

  Expr* parse_compare() {
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

  using Operators = std::initializer_list<std::pair<std::string_view, Operator>>;

  template <class Next>
  Expr* parse_arithmetic(Operators operators, Next next) {
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

  Expr* parse_sum() {
    return parse_arithmetic({{"+", Operator::kAdd}, {"-", Operator::kSubtract}}, [this] { return parse_concat(); });
  }

  Expr* parse_concat() {
    const int line = current().line;
    std::vector<Expr*> operands = {parse_product()};
    while (skip_operator("~")) operands.push_back(parse_product());
    return operands.size() == 1 ? operands.front() : finished(make(ExprKind::kConcat, line, std::move(operands)));
  }

  Expr* parse_product() {
    return parse_arithmetic({{"*", Operator::kMultiply},
                             {"/", Operator::kDivide},
                             {"//", Operator::kFloorDivide},
                             {"%", Operator::kModulo}},
                            [this] { return parse_power(); });
  }

  Expr* parse_power() {
    return parse_arithmetic({{"**", Operator::kPower}}, [this] { return parse_unary(true); });
  }

  Expr* parse_unary(bool with_filters) {
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

  Expr* constant(int line, Value value) {
    Expr* e = make(ExprKind::kConstant, line);
    e->constant = value;
    return e;
  }

  Expr* parse_primary() {
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

  Expr* parse_name(const Token& token) {
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

  Expr* parse_string() {
    const int line = current().line;
    std::string bytes;
    while (current().type == TokenType::kString) bytes += unescaped(take());
    return constant(line, Value(constant_text(bytes)));
  }

  Expr* parse_list(int line) {
    Expr* e = make(ExprKind::kList, line);
    while (!current().is_operator("]")) {
      if (!e->operands.empty()) expect_operator(",");
      if (current().is_operator("]")) break;
      e->operands.push_back(parse_expression());
    }
    expect_operator("]");
    return finished(e);
  }

  Expr* parse_dict(int line) {
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

  Expr* parse_postfix(Expr* e) {
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

  Expr* parse_filter_expression(Expr* e) {
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

  Expr* parse_attribute(Expr* object, int line) {
    const Token& token = take();
    if (token.type == TokenType::kName) {
      Expr* e = make(ExprKind::kAttribute, line, {object});
      e->name = intern(token.text);
      return finished(e);
    }
    if (token.type != TokenType::kInteger) fail_at(line, "expected a name or a number behind '.'");
    return finished(make(ExprKind::kItem, line, {object, constant(line, integer_value(token))}));
  }

  Expr* parse_subscript(Expr* object, int line) {
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

  // An index, or the slice node of the object (then `slice` is set).
  Expr* parse_subscript_part(Expr* object, Expr*& slice) {
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

  void parse_arguments(Expr& e) {
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

  Expr* parse_call(Expr* callee, int line) {
    Expr* e = make(ExprKind::kCall, line, {callee});
    parse_arguments(*e);
    return finished(e);
  }

  // object null: the value of a block, set when it runs. inline_start: the first filter has no '|' before it.
  Expr* parse_filters(Expr* object, bool inline_start) {
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

  Expr* parse_test(Expr* object, int line) {
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

  Expr* parse_primary_nested() {
    const Nesting nesting(*this);
    return parse_primary();
  }

  static bool begins_argument(const Token& token) {
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

  // ---- literals ----

  Value integer_value(const Token& token) const {
    std::string digits;
    std::copy_if(token.text.begin(), token.text.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0') {
      const char mark = static_cast<char>(digits[1] | 0x20);
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
      if (base != 10) digits.erase(0, 2);
    }
    int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec != std::errc()) {
      fail_at(token.line, fmt::format("the integer {} does not fit into 64 bits", token.text.substr(0, 40)));
    }
    return Value(value);
  }

  Value float_value(const Token& token) const {
    std::string digits;
    std::copy_if(token.text.begin(), token.text.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
    double value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) {
      fail_at(token.line, fmt::format("the number {} is beyond the range of double", token.text.substr(0, 40)));
    }
    return Value(value);
  }

  char32_t hex_escape(const Token& token, size_t at, size_t count) const {
    uint32_t code = 0;
    const std::string_view digits = token.text.substr(std::min(at, token.text.size()), count);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != count || end.ptr != digits.data() + count) fail_at(token.line, "a bad escape in a string");
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      fail_at(token.line, "a surrogate or an impossible character in a string");
    }
    return code;
  }

  // Python's "unicode-escape".
  std::string unescaped(const Token& token) const {
    const std::string_view in = token.text;
    std::string out;
    for (size_t i = 0; i < in.size(); ++i) {
      if (in[i] != '\\') {
        out += in[i];
        continue;
      }
      ++i;  // the lexer takes a backslash only together with what follows
      static constexpr std::string_view kFrom = "abfnrtv\\'\"";
      static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
      if (const size_t simple = kFrom.find(in[i]); simple != std::string_view::npos) {
        out += kTo[simple];
      } else if (in[i] == 'x' || in[i] == 'u' || in[i] == 'U') {
        const size_t count = in[i] == 'x' ? 2 : in[i] == 'u' ? 4 : 8;
        append_utf8(out, hex_escape(token, i + 1, count));
        i += count;
      } else if (in[i] >= '0' && in[i] <= '7') {
        char32_t code = 0;
        size_t digits = 0;
        for (; digits < 3 && i + digits < in.size() && in[i + digits] >= '0' && in[i + digits] <= '7'; ++digits) {
          code = code * 8 + static_cast<char32_t>(in[i + digits] - '0');
        }
        append_utf8(out, code);
        i += digits - 1;
      } else if (in[i] == 'N') {
        fail_at(token.line, "the escape \\N is not supported");
      } else if (in[i] != '\n') {
        out += '\\';
        out += in[i];
      }
    }
    return out;
  }

  Program& program_;
  int max_nesting_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;
  Macro* macro_ = nullptr;
  std::map<std::string, NameId, std::less<>> name_ids_;
};

}  // namespace

std::shared_ptr<const Program> parse_program(std::string source, const TemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes) {
    throw TemplateError{resource_exhausted(fmt::format(
        "chat template: {} bytes, above the limit of {} (max_source_bytes)", source.size(), limits.max_source_bytes))};
  }
  if (const size_t valid = valid_utf8_prefix(source); valid != source.size()) {
    throw TemplateError{invalid_data(fmt::format("chat template: not valid UTF-8 at byte {}", valid))};
  }
  auto program = std::make_shared<Program>();
  program->source = std::move(source);
  program->normalized = normalize_source(program->source);
  Parser(*program, limits).run();
  return program;
}

}  // namespace batchwright::jinja
