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

void set_examples(CLI::App& command, std::string examples) {
  const auto formatter = std::dynamic_pointer_cast<ExamplesFormatter>(command.get_formatter());
  BATCHWRIGHT_CHECK(formatter != nullptr);
  formatter->set_examples(command, std::move(examples));
}

}  // namespace batchwright
