#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat_template.h"
#include "text/jinja/ast.h"
#include "text/jinja/token_cursor.h"

namespace batchwright::jinja {

// Expressions, by recursive descent in the order of precedence of Jinja2's own parser; what the parser of statements
// (parser.cc) stands on.
class ExpressionParser : protected TokenCursor {
 protected:
  // Of the program's normalized source. Both must outlive the parser.
  ExpressionParser(Program& program, const TemplateLimits& limits);

  // One level of the source's nesting.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) {
      if (++parser_.nesting_ > parser_.max_nesting_) parser_.refuse_nesting();
    }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  struct TupleOptions {
    bool with_conditional = true;
    std::string_view end_name = {};
    bool in_parentheses = false;
  };

  Expr* parse_expression();
  Expr* parse_tuple(TupleOptions options);
  bool is_tuple_end(std::string_view end_name) const;
  // object null: the value of a block, set when it runs. inline_start: the first filter has no '|' before it.
  Expr* parse_filters(Expr* object, bool inline_start);

  NameId intern(std::string_view name);
  // To be called once all of the node's parts are in place. Evaluation recurses as deep as the tree is high, and long
  // chains of postfixes make high trees without nesting.
  Expr* finished(Expr* e) const;
  Expr* make(ExprKind kind, int line, std::vector<Expr*> operands = {});
  const Text* constant_text(std::string_view bytes);

  Program& program_;
  Macro* macro_ = nullptr;  // whose body or signature is being parsed

 private:
  [[noreturn]] void refuse_nesting() const;

  // From the loosest to the tightest.
  Expr* parse_or_nested();
  template <class Next>
  Expr* parse_list_of(ExprKind kind, std::string_view word, Next next);
  Expr* parse_or();
  Expr* parse_and();
  Expr* parse_not();
  std::optional<Operator> take_comparison();
  Expr* parse_compare();
  using Operators = std::initializer_list<std::pair<std::string_view, Operator>>;
  template <class Next>
  Expr* parse_arithmetic(Operators operators, Next next);
  Expr* parse_sum();
  Expr* parse_concat();
  Expr* parse_product();
  Expr* parse_power();
  Expr* parse_unary(bool with_filters);

  Expr* constant(int line, Value value);
  Expr* parse_primary();
  Expr* parse_name(const Token& token);
  Expr* parse_string();
  Expr* parse_list(int line);
  Expr* parse_dict(int line);

  Expr* parse_postfix(Expr* e);
  Expr* parse_filter_expression(Expr* e);
  Expr* parse_attribute(Expr* object, int line);
  Expr* parse_subscript(Expr* object, int line);
  // An index, or the slice node of the object (then `slice` is set).
  Expr* parse_subscript_part(Expr* object, Expr*& slice);
  void parse_arguments(Expr& e);
  Expr* parse_call(Expr* callee, int line);
  Expr* parse_test(Expr* object, int line);
  Expr* parse_primary_nested();
  static bool begins_argument(const Token& token);

  int max_nesting_;
  int nesting_ = 0;
  std::map<std::string, NameId, std::less<>> name_ids_;
};

}  // namespace batchwright::jinja
