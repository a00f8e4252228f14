// A parsed template. Nodes point to each other and are owned, flat, by the Program: no destruction recurses.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/builtins.h"
#include "text/jinja/value.h"

namespace batchwright::jinja {

// Index into Program::names.
using NameId = int;

enum class ExprKind {
  kConstant,
  kName,
  kList,         // operands
  kTuple,        // operands
  kDict,         // operands: key, value, key, value, ...
  kArithmetic,   // operands[0] op[0] operands[1] op[1] ..., left to right
  kCompare,      // the same, chained as in Python
  kConcat,       // operands
  kAnd,          // operands, at least two
  kOr,           // operands, at least two
  kNot,          // operands[0]
  kNegate,       // operands[0]
  kPlus,         // operands[0]
  kConditional,  // operands: condition, then, else (or two: undefined)
  kAttribute,    // operands[0] . name
  kItem,         // operands[0] [ operands[1] ]
  kSlice,        // operands[0] [ operands[1] : operands[2] : operands[3] ], null where left out
  kCall,         // operands[0] ( arguments )
  kFilter,       // operands[0] | name ( arguments ); operands[0] null in a filter block
  kTest,         // operands[0] is [not] name ( arguments )
};

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

struct Expr {
  ExprKind kind;
  int line;
  int height = 1;  // nodes on the longest way down
  bool negated = false;
  NameId name = -1;
  Value constant;
  std::vector<Expr*> operands;
  std::vector<Operator> operators;
  // Of kCall, kFilter, kTest.
  std::vector<Expr*> arguments;
  std::vector<std::pair<std::string, Expr*>> named_arguments;
  Expr* star = nullptr;
  Expr* double_star = nullptr;
  Filter filter = nullptr;  // null: no such filter, an error once it runs
  Test test = nullptr;
};

enum class StmtKind {
  kData,         // text
  kOutput,       // value
  kIf,           // branches, else_body
  kFor,          // target, value, condition, body, else_body
  kSet,          // target = value
  kSetBlock,     // target = body, through filter
  kMacro,        // macro
  kCallBlock,    // value is a kCall; macro is the caller
  kFilterBlock,  // body through filter
  kScope,        // body in its own scope (with, generation); targets = values before
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<Stmt*>;

// Something assignable: a kName or kTuple expression, or a namespace's attribute (kAttribute of a kName).
using Target = Expr*;

struct Macro {
  std::string name;
  NameId name_id = -1;
  std::vector<NameId> parameters;
  std::vector<Expr*> defaults;  // of the last parameters
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Stmt {
  StmtKind kind;
  int line;
  const Text* text = nullptr;
  Target target = nullptr;
  Expr* value = nullptr;
  Expr* condition = nullptr;
  Expr* filter = nullptr;
  Body body;
  Body else_body;
  std::vector<std::pair<Expr*, Body>> branches;
  std::vector<std::pair<Target, Expr*>> assignments;
  Macro* macro = nullptr;
};

struct Program {
  std::string source;
  std::string normalized;
  std::deque<std::string> names;
  NameId caller_id = -1;
  NameId varargs_id = -1;
  NameId kwargs_id = -1;
  NameId loop_id = -1;
  Body body;
  Arena constants;
  std::deque<Expr> expressions;
  std::deque<Stmt> statements;
  std::deque<Macro> macros;
};

}  // namespace batchwright::jinja
