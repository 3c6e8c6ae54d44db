// polis help and polis completion: help, manual page and completions, all from the one table of commands.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/man_page.h"

namespace polis::cli {
namespace {

int help(const std::vector<std::string>& words) {
    // A parser that has parsed nothing: one that has would show the help of the command it found, which is this one.
    CLI::App app;
    Globals globals;
    int exit_code = ExitCode::Ok;
    add_all(app, globals, exit_code);
    const CLI::App* at = &app;
    std::string above;
    for (const std::string& word : words) {
        const auto below =
            at->get_subcommands([&word](const CLI::App* command) { return command->get_name() == word; });
        if (below.empty()) {
            return failed(Error{Code::Invalid, "no command '" + word + "': `polis help` lists them"});
        }
        above += (above.empty() ? "" : " ") + at->get_name();
        at = below.front();
    }
    std::fputs(at->help(above).c_str(), stdout);
    return ExitCode::Ok;
}

}  // namespace

void add_help_commands(CLI::App& app, const Globals&, int& exit_code) {
    const auto words = std::make_shared<std::vector<std::string>>();
    const auto man = std::make_shared<bool>(false);
    CLI::App* help_command = app.add_subcommand("help", "Show how a command is used, or all commands");
    help_command->add_option("command", *words, "Its words, such as: kv get");
    help_command->add_flag("--man", *man, "Print the manual page instead: polis help --man | man -l -");
    help_command->callback([&app, &exit_code, words, man] {
        if (*man) std::fputs(man_page(command_table_of(app)).c_str(), stdout);
        exit_code = *man ? static_cast<int>(ExitCode::Ok) : help(*words);
    });

    const auto shell = std::make_shared<std::string>();
    CLI::App* completion =
        app.add_subcommand("completion", "Print what a shell needs to complete commands and options");
    completion->add_option("shell", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    completion->callback([&app, shell] {
        const CommandRow root = command_table_of(app);
        const std::string text = *shell == "bash"  ? bash_completion(root)
                                 : *shell == "zsh" ? zsh_completion(root)
                                                   : fish_completion(root);
        std::fputs(text.c_str(), stdout);
    });
}

}  // namespace polis::cli
