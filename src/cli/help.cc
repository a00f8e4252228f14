#include "cli/help.h"

#include <utility>

#include "base/check.h"

namespace batchwright {

ExamplesFormatter::ExamplesFormatter() { column_width(34); }

std::string ExamplesFormatter::make_description(const CLI::App* app) const {
  const auto found = examples_.find(app);
  std::string text = app->get_description() + "\n";
  if (found != examples_.end()) text += "\nExamples:\n" + found->second + "\n";
  return text + "\n";
}

std::string ExamplesFormatter::make_option_opts(const CLI::Option* option) const {
  if (option->get_type_size() == 0) return "";
  const std::string type = option->get_type_name();
  std::string text = " " + type.substr(0, type.find(':'));
  if (!option->get_default_str().empty()) text += "=" + option->get_default_str();
  return text;
}

void set_examples(CLI::App& command, std::string examples) {
  const auto formatter = std::dynamic_pointer_cast<ExamplesFormatter>(command.get_formatter());
  BATCHWRIGHT_CHECK(formatter != nullptr);
  formatter->set_examples(command, std::move(examples));
}

}  // namespace batchwright
