// Help that begins with examples.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <string>

namespace batchwright {

class ExamplesFormatter : public CLI::Formatter {
 public:
  ExamplesFormatter();
  void set_examples(const CLI::App& app, std::string examples) { examples_[&app] = std::move(examples); }
  std::string make_description(const CLI::App* app) const override;
  // Name of the value and the default; ranges are said when they are broken.
  std::string make_option_opts(const CLI::Option* option) const override;

 private:
  std::map<const CLI::App*, std::string> examples_;
};

// Sets the examples of a command's help. Precondition: the command's formatter is an ExamplesFormatter.
void set_examples(CLI::App& command, std::string examples);

}  // namespace batchwright
