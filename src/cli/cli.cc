#include "cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batchwright/version.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "cli/suggest.h"

namespace batchwright {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::string with_suggestion(std::string message, std::string_view word, const std::vector<std::string>& known) {
  const std::string meant = nearest_word(word, known);
  if (!meant.empty()) message += fmt::format("; did you mean {}?", meant);
  return message;
}

// What is wrong with the arguments, said better than by the parser where that is possible.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error, int argc, const char* const* argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  const std::vector<std::string> commands = command_names(app);
  if (argc <= 1) return fmt::format("which command? There are {}", fmt::join(commands, ", "));
  if (!first.starts_with('-') && std::find(commands.begin(), commands.end(), first) == commands.end()) {
    std::string message = fmt::format("\"{}\" is no command", first);
    if (nearest_word(first, commands).empty())
      return message + fmt::format("; there are {}", fmt::join(commands, ", "));
    return with_suggestion(std::move(message), first, commands);
  }
  const auto chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.back();
  // An unknown option's value may have been taken for something else, so the option is looked for first.
  const std::vector<std::string> options = option_names(command);
  for (int i = chosen.empty() ? 1 : 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") break;
    if (!word.starts_with("--") || word.size() < 3) continue;
    const std::string_view name = word.substr(0, word.find('='));
    if (std::find(options.begin(), options.end(), name) != options.end()) continue;
    return with_suggestion(fmt::format("\"{}\" is no option of {}", name, command.get_name()), name, options);
  }
  return error.what();
}

int parse_and_run(int argc, const char* const* argv) {
  CLI::App app("Batchwright runs open-weight language models over files of requests.", "batchwright");
  app.formatter(std::make_shared<ExamplesFormatter>());
  app.set_version_flag("--version", fmt::format("batchwright {} (numerics {})", kVersion, kNumericsVersion));
  app.require_subcommand(1);
  set_examples(app,
               "  batchwright run rows.jsonl -m model.gguf -o answers.jsonl\n"
               "  batchwright inspect model.gguf\n"
               "  batchwright COMMAND --help");

  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(add_run_command(app, {argv, argv + argc}));
  commands.push_back(add_plan_command(app));
  commands.push_back(add_verify_command(app));
  commands.push_back(add_inspect_command(app));
  commands.push_back(add_eval_command(app));
  commands.push_back(add_bench_command(app));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return exit_code(print_result(app.help()));
  } catch (const CLI::CallForAllHelp&) {
    return exit_code(print_result(app.help("", CLI::AppFormatMode::All)));
  } catch (const CLI::CallForVersion& version) {
    return exit_code(print_result(std::string(version.what()) + "\n"));
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    fmt::print(stderr, "batchwright: {}\nSee batchwright {}--help\n", usage_message(app, error, argc, argv),
               chosen.empty() ? "" : chosen.back()->get_name() + " ");
    return kExitUsage;
  }
  const std::vector<std::string> names = command_names(app);
  for (size_t i = 0; i < commands.size(); ++i) {
    if (app.got_subcommand(names[i])) return commands[i]->run();
  }
  return kExitUsage;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  // A reader that goes away is an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return parse_and_run(argc, argv);
  } catch (const std::bad_alloc&) {
    // Without taking any.
    const auto is_json = [](const char* word) { return std::string_view(word) == "--json"; };
    std::fputs(std::any_of(argv, argv + argc, is_json)
                   ? "{\"event\":\"error\",\"message\":\"there is not enough memory\",\"exit_code\":1}\n"
                   : "batchwright: there is not enough memory\n",
               stderr);
    return kExitError;
  } catch (const std::exception& error) {
    return print_error(internal_error(error.what()));
  }
}

}  // namespace batchwright
