// The commands as data, read off the parser: what help, man page and completions are made from.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace polis::cli {

struct OptionRow {
    std::vector<std::string> names;  // "--format", "-h"; for an argument by place, its name alone.
    std::string sentence;
    std::string group;         // Of options that belong together; empty for the usual ones.
    bool by_place = false;     // An argument rather than an option.
    bool takes_value = false;  // After its name.
    bool required = false;
    bool many = false;
};

struct CommandRow {
    std::vector<std::string> path;  // {"polis", "kv", "get"}
    std::string sentence;
    std::vector<OptionRow> options;  // Its own, arguments by place first.
    std::vector<CommandRow> commands;

    std::string name() const { return path.back(); }
    /// "polis kv get"
    std::string words() const;
};

/// The whole tree from `app` down, in the order in which things were added; hidden ones are left out.
CommandRow command_table_of(const CLI::App& app);

/// `root` and all below it, parents first.
std::vector<const CommandRow*> all_commands(const CommandRow& root);

}  // namespace polis::cli
