#include "text/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace batchwright::jinja {
namespace {

constexpr int kMaxCallDepthEver = 100;

// Variables of a template, a loop's round, a macro's call. Looked up from the innermost outwards.
struct Scope : Object {
  explicit Scope(Scope* outer) : parent(outer) {}
  Scope* parent;
  std::vector<std::pair<NameId, Value>> variables;
};

enum class Flow { kNext, kBreak, kContinue };

class Interpreter;

struct MacroObject : CallableObject {
  Interpreter* interpreter = nullptr;
  const Macro* macro = nullptr;
  Scope* closure = nullptr;
  Value call(Runtime& runtime, const Arguments& arguments) override;
};

struct LoopState : LoopObject {
  Interpreter* interpreter = nullptr;
  const Stmt* stmt = nullptr;
  Scope* outer = nullptr;
  std::vector<Value> items;
  size_t next_item = 0;
  bool advance(Value& item) override;
  bool next(Value& item);
};

class Interpreter {
 public:
  Interpreter(Runtime& runtime, const Program& program) : rt_(runtime), program_(program) {}

  TextBuilder run(const std::vector<std::pair<std::string_view, Value>>& variables) {
    Scope* const context = new_scope(nullptr);
    for (const auto& [name, value] : variables) {
      const auto known = std::find(program_.names.begin(), program_.names.end(), name);
      if (known != program_.names.end()) set(*context, static_cast<NameId>(known - program_.names.begin()), value);
    }
    Output out;
    out.is_root = true;
    execute(program_.body, *new_scope(context), out);
    return std::move(out.builder);
  }

  Value call_macro(const MacroObject& object, const Arguments& arguments) {
    const int max_depth = std::clamp(rt_.limits().max_call_depth, 0, kMaxCallDepthEver);
    if (call_depth_ >= max_depth) {
      rt_.refuse(fmt::format("macro calls nested deeper than the limit of {} (max_call_depth)", max_depth));
    }
    ++call_depth_;
    Scope& scope = *new_scope(object.closure);
    bind_parameters(*object.macro, arguments, scope);
    Output out;
    execute(object.macro->body, scope, out);
    --call_depth_;
    return rt_.make_text(std::move(out.builder));
  }

  bool passes(const Stmt& loop, const Value& item, Scope& outer) {
    if (loop.condition == nullptr) return true;
    Scope& scope = *new_scope(&outer);
    assign(*loop.target, item, scope);
    return truthy(eval(*loop.condition, scope));
  }

 private:
  struct Output {
    TextBuilder builder;
    bool is_root = false;
  };

  // ---- variables ----

  Scope* new_scope(Scope* parent) {
    constexpr size_t kScopeBytes = 128;
    rt_.charge(kScopeBytes);
    return rt_.arena().make<Scope>(parent);
  }

  void set(Scope& scope, NameId name, const Value& value) {
    rt_.step(static_cast<int64_t>(scope.variables.size() / 16));
    for (auto& [known, place] : scope.variables) {
      if (known != name) continue;
      place = value;
      return;
    }
    rt_.charge(sizeof(std::pair<NameId, Value>));
    scope.variables.emplace_back(name, value);
  }

  Value look_up(NameId name, const Scope& innermost) {
    for (const Scope* scope = &innermost; scope != nullptr; scope = scope->parent) {
      rt_.step(static_cast<int64_t>(scope->variables.size() / 16));
      for (const auto& [known, value] : scope->variables) {
        if (known == name) return value;
      }
    }
    const std::string& text = program_.names[static_cast<size_t>(name)];
    rt_.charge(64);
    const Value function = global_function(rt_, text);
    return function.is_missing() ? Value::undefined(&text) : function;
  }

  void assign(const Expr& target, const Value& value, Scope& scope) {
    rt_.set_line(target.line);
    switch (target.kind) {
      case ExprKind::kName:
        return set(scope, target.name, value);
      case ExprKind::kTuple: {
        const Depth depth(rt_);
        const auto items = iterate(rt_, value);
        if (items.size() != target.operands.size()) {
          rt_.fail(fmt::format("{} values for {} names", items.size(), target.operands.size()));
        }
        for (size_t i = 0; i < items.size(); ++i) assign(*target.operands[i], items[i], scope);
        return;
      }
      default: {
        const Value object = look_up(target.operands[0]->name, scope);
        if (!object.is(Kind::kNamespace)) rt_.fail("attributes can be set on a namespace() only");
        rt_.charge(64);
        object.name_space().attributes.insert_or_assign(name_of(target), value);
      }
    }
  }

  const std::string& name_of(const Expr& e) const { return program_.names[static_cast<size_t>(e.name)]; }

  // ---- statements ----

  void write(Output& out, const Text& text) {
    if (!out.is_root) {
      rt_.charge(text.size());
    } else if (text.size() > rt_.limits().max_output_bytes - out.builder.size()) {
      rt_.refuse(
          fmt::format("more output than the limit of {} bytes (max_output_bytes)", rt_.limits().max_output_bytes));
    }
    out.builder.append(text);
  }

  Flow execute(const Body& body, Scope& scope, Output& out) {
    const Depth depth(rt_);
    for (const Stmt* stmt : body) {
      rt_.set_line(stmt->line);
      rt_.step();
      const Flow flow = execute(*stmt, scope, out);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow execute(const Stmt& s, Scope& scope, Output& out) {
    switch (s.kind) {
      case StmtKind::kData:
        write(out, *s.text);
        return Flow::kNext;
      case StmtKind::kOutput:
        write(out, to_text(rt_, eval(*s.value, scope)).text());
        return Flow::kNext;
      case StmtKind::kIf:
        for (const auto& [condition, body] : s.branches) {
          if (truthy(eval(*condition, scope))) return execute(body, scope, out);
        }
        return execute(s.else_body, scope, out);
      case StmtKind::kFor:
        execute_for(s, scope, out);
        return Flow::kNext;
      case StmtKind::kSet:
        assign(*s.target, eval(*s.value, scope), scope);
        return Flow::kNext;
      case StmtKind::kMacro:
        set(scope, s.macro->name_id, make_macro(*s.macro, scope));
        return Flow::kNext;
      case StmtKind::kSetBlock:
      case StmtKind::kFilterBlock:
        return execute_buffered(s, scope, out);
      case StmtKind::kCallBlock:
        write(out, to_text(rt_, eval_call(*s.value, scope, make_macro(*s.macro, scope))).text());
        return Flow::kNext;
      case StmtKind::kScope: {
        Scope& inner = *new_scope(&scope);
        for (const auto& [target, value] : s.assignments) assign(*target, eval(*value, scope), inner);
        return execute(s.body, inner, out);
      }
      case StmtKind::kBreak:
        return Flow::kBreak;
      case StmtKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  Flow execute_buffered(const Stmt& s, Scope& scope, Output& out) {
    Output buffer;
    const Flow flow = execute(s.body, *new_scope(&scope), buffer);
    const Value text = eval_filter_chain(s.filter, scope, rt_.make_text(std::move(buffer.builder)));
    if (s.kind == StmtKind::kSetBlock) {
      assign(*s.target, text, scope);
    } else {
      write(out, to_text(rt_, text).text());
    }
    return flow;
  }

  void execute_for(const Stmt& s, Scope& scope, Output& out) {
    rt_.charge(sizeof(LoopState));
    auto* const loop = rt_.arena().make<LoopState>();
    loop->interpreter = this;
    loop->stmt = &s;
    loop->outer = &scope;
    loop->items = iterate(rt_, eval(*s.value, scope));
    rt_.charge(loop->items.size() * sizeof(Value));
    bool any_completed = false;
    Value item;
    while (loop->next(item)) {
      rt_.step();
      Scope& round = *new_scope(&scope);
      set(round, program_.loop_id, Value(static_cast<LoopObject*>(loop)));
      assign(*s.target, item, round);
      const Flow flow = execute(s.body, round, out);
      if (flow == Flow::kBreak) break;
      any_completed |= flow == Flow::kNext;
    }
    // Jinja2 runs the else branch too where every round ended in break or continue.
    if (!any_completed) execute(s.else_body, *new_scope(&scope), out);
  }

  Value make_macro(const Macro& macro, Scope& scope) {
    rt_.charge(sizeof(MacroObject));
    auto* const object = rt_.arena().make<MacroObject>();
    object->name = macro.name;
    object->interpreter = this;
    object->macro = &macro;
    object->closure = &scope;
    return static_cast<CallableObject*>(object);
  }

  void bind_parameters(const Macro& macro, const Arguments& arguments, Scope& scope) {
    auto named = arguments.named;
    const auto take_named = [&named](std::string_view name) {
      const auto found = std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.first == name; });
      if (found == named.end()) return Value::missing();
      const Value value = found->second;
      named.erase(found);
      return value;
    };
    const size_t count = macro.parameters.size();
    const size_t given = std::min(arguments.positional.size(), count);
    std::vector<Value> values(arguments.positional.begin(),
                              arguments.positional.begin() + static_cast<std::ptrdiff_t>(given));
    for (size_t i = given; i < count; ++i) {
      values.push_back(take_named(program_.names[static_cast<size_t>(macro.parameters[i])]));
    }
    if (macro.uses_caller) {
      const Value caller = take_named("caller");
      set(scope, program_.caller_id,
          caller.is_missing() ? Value::undefined(&program_.names[static_cast<size_t>(program_.caller_id)]) : caller);
    }
    if (macro.uses_kwargs) {
      DictObject* const rest = rt_.make_dict();
      for (const auto& [name, value] : named) dict_set(rt_, *rest, rt_.make_text(name, true), value);
      set(scope, program_.kwargs_id, rest);
    } else if (!named.empty()) {
      rt_.fail(fmt::format("the macro '{}' has no argument '{}', or got it twice", macro.name, named.front().first));
    }
    if (macro.uses_varargs) {
      const auto rest = arguments.positional.begin() + static_cast<std::ptrdiff_t>(given);
      set(scope, program_.varargs_id, rt_.make_tuple(std::vector<Value>(rest, arguments.positional.end())));
    } else if (arguments.positional.size() > count) {
      rt_.fail(fmt::format("the macro '{}' takes at most {} arguments", macro.name, count));
    }
    const size_t first_default = count - macro.defaults.size();
    for (size_t i = 0; i < count; ++i) {
      if (values[i].is_missing()) {
        values[i] = i >= first_default ? eval(*macro.defaults[i - first_default], scope)
                                       : Value::undefined(&program_.names[static_cast<size_t>(macro.parameters[i])]);
      }
      set(scope, macro.parameters[i], values[i]);
    }
  }

  // ---- expressions ----

  Value eval(const Expr& e, Scope& scope) {
    rt_.step();
    if (e.kind == ExprKind::kConstant) return e.constant;
    rt_.set_line(e.line);
    if (e.kind == ExprKind::kName) return look_up(e.name, scope);
    const Depth depth(rt_);
    switch (e.kind) {
      case ExprKind::kConstant:
      case ExprKind::kName:
        break;
      case ExprKind::kList:
        return rt_.make_list(eval_all(e.operands, scope));
      case ExprKind::kTuple:
        return rt_.make_tuple(eval_all(e.operands, scope));
      case ExprKind::kDict:
        return eval_dict(e, scope);
      case ExprKind::kArithmetic:
        return eval_arithmetic(e, scope);
      case ExprKind::kCompare:
        return eval_compare(e, scope);
      case ExprKind::kConcat:
        return eval_concat(e, scope);
      case ExprKind::kAnd:
      case ExprKind::kOr:
        return eval_logic(e, scope);
      case ExprKind::kNot:
        return !truthy(eval(*e.operands[0], scope));
      case ExprKind::kNegate:
        return negate(rt_, eval(*e.operands[0], scope));
      case ExprKind::kPlus: {
        const Value v = eval(*e.operands[0], scope);
        return v.is(Kind::kFloat) ? v : Value(require_int(rt_, v, "the operand of '+'"));
      }
      case ExprKind::kConditional:
        if (truthy(eval(*e.operands[0], scope))) return eval(*e.operands[1], scope);
        return e.operands.size() > 2 ? eval(*e.operands[2], scope) : Value::undefined();
      case ExprKind::kAttribute:
      case ExprKind::kItem:
      case ExprKind::kSlice:
        return eval_subscript(e, scope);
      case ExprKind::kCall:
        return eval_call(e, scope, Value::missing());
      case ExprKind::kFilter:
        return eval_filter_chain(&e, scope, Value::missing());
      case ExprKind::kTest:
        return eval_test(e, scope);
    }
    return Value();
  }

  std::vector<Value> eval_all(const std::vector<Expr*>& expressions, Scope& scope) {
    std::vector<Value> values;
    values.reserve(expressions.size());
    for (const Expr* e : expressions) values.push_back(eval(*e, scope));
    return values;
  }

  Value eval_dict(const Expr& e, Scope& scope) {
    DictObject* const dict = rt_.make_dict();
    for (size_t i = 0; i + 1 < e.operands.size(); i += 2) {
      const Value key = eval(*e.operands[i], scope);
      dict_set(rt_, *dict, key, eval(*e.operands[i + 1], scope));
    }
    return dict;
  }

  Value arithmetic(Operator op, const Value& a, const Value& b) {
    switch (op) {
      case Operator::kAdd:
        return add(rt_, a, b);
      case Operator::kSubtract:
        return subtract(rt_, a, b);
      case Operator::kMultiply:
        return multiply(rt_, a, b);
      case Operator::kDivide:
        return divide(rt_, a, b);
      case Operator::kFloorDivide:
        return floor_divide(rt_, a, b);
      case Operator::kModulo:
        return modulo(rt_, a, b);
      default:
        return power(rt_, a, b);
    }
  }

  Value eval_arithmetic(const Expr& e, Scope& scope) {
    Value value = eval(*e.operands[0], scope);
    for (size_t i = 0; i < e.operators.size(); ++i) {
      const Value next = eval(*e.operands[i + 1], scope);
      rt_.set_line(e.line);
      value = arithmetic(e.operators[i], value, next);
    }
    return value;
  }

  bool compare(Operator op, const Value& a, const Value& b) {
    switch (op) {
      case Operator::kEqual:
        return equals(rt_, a, b);
      case Operator::kNotEqual:
        return !equals(rt_, a, b);
      case Operator::kLess:
        return less(rt_, a, b);
      case Operator::kLessEqual:
        return less(rt_, a, b, true);
      case Operator::kGreater:
        return less(rt_, b, a);
      case Operator::kGreaterEqual:
        return less(rt_, b, a, true);
      case Operator::kIn:
        return contains(rt_, b, a);
      default:
        return !contains(rt_, b, a);
    }
  }

  Value eval_compare(const Expr& e, Scope& scope) {
    Value left = eval(*e.operands[0], scope);
    for (size_t i = 0; i < e.operators.size(); ++i) {
      const Value right = eval(*e.operands[i + 1], scope);
      rt_.set_line(e.line);
      if (!compare(e.operators[i], left, right)) return false;
      left = right;
    }
    return true;
  }

  Value eval_concat(const Expr& e, Scope& scope) {
    std::vector<Value> parts;
    for (const Expr* operand : e.operands) parts.push_back(to_text(rt_, eval(*operand, scope)));
    const Value nothing = rt_.make_text("", true);
    return join_text(rt_, nothing.text(), parts);
  }

  Value eval_logic(const Expr& e, Scope& scope) {
    Value value;
    for (const Expr* operand : e.operands) {
      value = eval(*operand, scope);
      if (truthy(value) == (e.kind == ExprKind::kOr)) break;
    }
    return value;
  }

  Value eval_subscript(const Expr& e, Scope& scope) {
    const Value object = eval(*e.operands[0], scope);
    Value parts[3] = {Value::missing(), Value::missing(), Value::missing()};
    for (size_t i = 1; i < e.operands.size(); ++i) {
      if (e.operands[i] != nullptr) parts[i - 1] = eval(*e.operands[i], scope);
    }
    rt_.set_line(e.line);
    if (e.kind == ExprKind::kAttribute) return get_attribute(rt_, object, name_of(e));
    if (e.kind == ExprKind::kItem) return get_item(rt_, object, parts[0]);
    return get_slice(rt_, object, parts[0], parts[1], parts[2]);
  }

  Arguments eval_arguments(const Expr& e, Scope& scope) {
    Arguments arguments;
    arguments.positional = eval_all(e.arguments, scope);
    if (e.star != nullptr) {
      for (const Value& v : iterate(rt_, eval(*e.star, scope))) arguments.positional.push_back(v);
    }
    for (const auto& [name, value] : e.named_arguments) arguments.named.emplace_back(name, eval(*value, scope));
    if (e.double_star != nullptr) {
      const Value more = eval(*e.double_star, scope);
      if (!more.is(Kind::kDict)) rt_.fail("what stands behind '**' must be a dict");
      for (const auto& [key, value] : more.dict().entries) {
        arguments.named.emplace_back(require_string(rt_, key, "an argument's name").bytes(), value);
      }
      rt_.step(static_cast<int64_t>(more.dict().entries.size()));
    }
    rt_.set_line(e.line);
    return arguments;
  }

  // caller: of a call block, or missing.
  Value eval_call(const Expr& e, Scope& scope, const Value& caller) {
    const Value callee = eval(*e.operands[0], scope);
    Arguments arguments = eval_arguments(e, scope);
    if (!caller.is_missing()) arguments.named.emplace_back("caller", caller);
    if (callee.is_undefined()) {
      rt_.fail(callee.name() != nullptr ? fmt::format("'{}' is undefined", *callee.name())
                                        : "what is called is undefined");
    }
    if (!callee.is(Kind::kCallable)) rt_.fail(fmt::format("a {} cannot be called", type_name(callee)));
    return callee.callable().call(rt_, arguments);
  }

  // e null: the value itself.
  Value eval_filter_chain(const Expr* e, Scope& scope, const Value& block) {
    if (e == nullptr) return block;
    const Expr* const inner = e->operands[0];
    const Value value =
        inner != nullptr && block.is_missing() ? eval(*inner, scope) : eval_filter_chain(inner, scope, block);
    const Arguments arguments = eval_arguments(*e, scope);
    if (e->filter == nullptr) rt_.fail(fmt::format("no filter is named '{}'", name_of(*e)));
    return e->filter(rt_, value, arguments);
  }

  Value eval_test(const Expr& e, Scope& scope) {
    const Value value = eval(*e.operands[0], scope);
    const Arguments arguments = eval_arguments(e, scope);
    if (e.test == nullptr) rt_.fail(fmt::format("no test is named '{}'", name_of(e)));
    return e.test(rt_, value, arguments) != e.negated;
  }

  Runtime& rt_;
  const Program& program_;
  int call_depth_ = 0;
};

Value MacroObject::call(Runtime&, const Arguments& arguments) { return interpreter->call_macro(*this, arguments); }

bool LoopState::advance(Value& item) {
  if (all_passed) {
    if (next_passed == passed.size()) return false;
    item = passed[next_passed++];
    return true;
  }
  while (next_item < items.size()) {
    item = items[next_item++];
    if (interpreter->passes(*stmt, item, *outer)) return true;
  }
  return false;
}

bool LoopState::next(Value& item) {
  if (!after.is_missing()) {
    item = after;
    after = Value::missing();
  } else if (finished_peek || !advance(item)) {
    return false;
  }
  ++index0;
  previous = current;
  current = item;
  return true;
}

}  // namespace

TextBuilder run_program(Runtime& runtime, const Program& program,
                        const std::vector<std::pair<std::string_view, Value>>& variables) {
  return Interpreter(runtime, program).run(variables);
}

}  // namespace batchwright::jinja
