#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace batchwright::jinja {

// The rendered text of a program that sees the named variables. Throws TemplateError.
TextBuilder run_program(Runtime& runtime, const Program& program,
                        const std::vector<std::pair<std::string_view, Value>>& variables);

}  // namespace batchwright::jinja
