#include "cli/command_table.h"

#include <CLI/App.hpp>

namespace polis::cli {
namespace {

OptionRow row_of(const CLI::Option& option) {
    OptionRow row;
    row.sentence = option.get_description();
    row.by_place = option.get_positional();
    if (row.by_place) {
        row.names.push_back(option.get_name(true));
    } else {
        for (const std::string& name : option.get_snames()) row.names.push_back("-" + name);
        for (const std::string& name : option.get_lnames()) row.names.push_back("--" + name);
    }
    if (option.get_group() != "Options") row.group = option.get_group();
    row.takes_value = !row.by_place && option.get_items_expected_max() > 0;
    row.required = option.get_required();
    row.many = option.get_items_expected_max() > 1;
    return row;
}

CommandRow row_of(const CLI::App& app, std::vector<std::string> path) {
    CommandRow row;
    path.push_back(app.get_name());
    row.path = path;
    row.sentence = app.get_description();
    for (const bool by_place : {true, false}) {
        for (const CLI::Option* option : app.get_options()) {
            if (!option->get_group().empty() && option->get_positional() == by_place) {
                row.options.push_back(row_of(*option));
            }
        }
    }
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (!command->get_group().empty()) row.commands.push_back(row_of(*command, path));
    }
    return row;
}

void add_all_below(const CommandRow& row, std::vector<const CommandRow*>& all) {
    all.push_back(&row);
    for (const CommandRow& command : row.commands) add_all_below(command, all);
}

}  // namespace

std::string CommandRow::words() const {
    std::string words;
    for (const std::string& part : path) words += (words.empty() ? "" : " ") + part;
    return words;
}

CommandRow command_table_of(const CLI::App& app) { return row_of(app, {}); }

std::vector<const CommandRow*> all_commands(const CommandRow& root) {
    std::vector<const CommandRow*> all;
    add_all_below(root, all);
    return all;
}

}  // namespace polis::cli
