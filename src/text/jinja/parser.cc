#include "text/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "text/jinja/expression_parser.h"
#include "text/jinja/runtime.h"

namespace batchwright::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

// Statements, and what stands between them.
class Parser : private ExpressionParser {
 public:
  Parser(Program& program, const TemplateLimits& limits) : ExpressionParser(program, limits) {}

  void run() {
    program_.body = parse_body({});
    if (current().type != TokenType::kEnd) fail(fmt::format("unexpected '{}'", current().text));
  }

 private:
  Stmt* make_stmt(StmtKind kind, int line) {
    Stmt& s = program_.statements.emplace_back();
    s.kind = kind;
    s.line = line;
    return &s;
  }

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

  int loops_ = 0;
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
