#pragma once

#include <memory>
#include <string>

#include "text/chat_template.h"
#include "text/jinja/ast.h"

namespace batchwright::jinja {

// Throws TemplateError.
std::shared_ptr<const Program> parse_program(std::string source, const TemplateLimits& limits);

}  // namespace batchwright::jinja
