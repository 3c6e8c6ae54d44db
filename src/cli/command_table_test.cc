// Tests of help, man page and completions: everything in the table of commands is in each of them.
#include "cli/command_table.h"

#include <gtest/gtest.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/man_page.h"
#include "node/config.h"

namespace polis::cli {
namespace {

class CommandTableTest : public testing::Test {
protected:
    CommandTableTest() {
        add_all(app_, globals_, exit_code_);
        root_ = command_table_of(app_);
    }

    bool parses(const std::string& line) {
        CLI::App app;
        Globals globals;
        int exit_code = 0;
        add_all(app, globals, exit_code);
        drop_callbacks(app);
        try {
            app.parse(line, false);
        } catch (const CLI::ParseError&) {
            return false;
        }
        return true;
    }

    // Not called, but kept: they own what the options write to.
    struct Opened : CLI::App {
        static constexpr auto callback_of_app() { return &Opened::final_callback_; }
    };
    void drop_callbacks(CLI::App& app) {
        kept_.push_back(app.*Opened::callback_of_app());
        app.callback([] {});
        for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) drop_callbacks(*command);
    }

    CLI::App app_;
    Globals globals_;
    int exit_code_ = 0;
    CommandRow root_;
    std::vector<std::function<void()>> kept_;
};

std::string without_backslashes(std::string text) {
    std::erase(text, '\\');
    return text;
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(CommandTableTest, SaysWhatEachCommandAndOptionIsFor) {
    EXPECT_GT(all_commands(root_).size(), 20u);
    for (const CommandRow* command : all_commands(root_)) {
        EXPECT_FALSE(command->sentence.empty()) << command->words();
        for (const OptionRow& option : command->options) {
            EXPECT_FALSE(option.sentence.empty()) << command->words() << " " << option.names.front();
        }
    }
}

TEST_F(CommandTableTest, KeepsArgumentsByPlaceInFront) {
    for (const CommandRow* command : all_commands(root_)) {
        EXPECT_TRUE(std::ranges::is_partitioned(command->options, [](const OptionRow& row) { return row.by_place; }))
            << command->words();
    }
}

// Completions skip the word behind such an option wherever it stands.
TEST_F(CommandTableTest, LetsAnOptionTakeAValueEverywhereOrNowhere) {
    std::map<std::string, bool> takes_value;
    for (const CommandRow* command : all_commands(root_)) {
        for (const OptionRow& option : command->options) {
            for (const std::string& name : option.names) {
                if (option.by_place) continue;
                EXPECT_EQ(takes_value.emplace(name, option.takes_value).first->second, option.takes_value) << name;
            }
        }
    }
}

TEST_F(CommandTableTest, HasEverythingOnTheManPage) {
    const std::string page = without_backslashes(man_page(root_));
    for (const CommandRow* command : all_commands(root_)) {
        EXPECT_TRUE(command == &root_ || holds(page, "\n.SS " + command->words())) << command->words();
        for (const OptionRow& option : command->options) {
            if (option.by_place || option.names.front() == "-h") continue;
            EXPECT_TRUE(holds(page, option.names.back())) << option.names.back();
        }
    }
}

TEST_F(CommandTableTest, HasEverythingInEachShellsCompletion) {
    const std::string bash = bash_completion(root_);
    const std::string zsh = zsh_completion(root_);
    const std::string fish = fish_completion(root_);
    for (const CommandRow* command : all_commands(root_)) {
        if (command != &root_) {
            EXPECT_TRUE(holds(bash, "'" + command->words() + "') path=")) << command->words();
            EXPECT_TRUE(holds(zsh, "'" + command->words() + "') place=")) << command->words();
            EXPECT_TRUE(holds(fish, "-a '" + command->name() + "'")) << command->words();
        }
        for (const OptionRow& option : command->options) {
            const std::string& name = option.names.back();
            if (option.by_place || !name.starts_with("--")) continue;
            EXPECT_TRUE(holds(bash, name)) << name;
            EXPECT_TRUE(holds(zsh, "'" + name + ":")) << name;
            EXPECT_TRUE(holds(fish, " -l " + name.substr(2) + " ")) << name;
        }
    }
}

TEST_F(CommandTableTest, EscapesWhatRoffWouldTakeForItself) {
    CommandRow row{.path = {"polis"}, .sentence = ".begins \\ with-dash", .options = {}, .commands = {}};
    EXPECT_TRUE(holds(man_page(row), "\\&.begins \\e with\\-dash\n"));
}

TEST_F(CommandTableTest, EscapesQuotesForShells) {
    CommandRow row{.path = {"polis"}, .sentence = "", .options = {}, .commands = {}};
    row.commands.push_back({.path = {"polis", "x"}, .sentence = "it's", .options = {}, .commands = {}});
    EXPECT_TRUE(holds(zsh_completion(row), R"('x:it'\''s')"));
    EXPECT_TRUE(holds(fish_completion(row), R"(-d 'it\'s')"));
}

TEST_F(CommandTableTest, TakesGlobalOptionsBeforeAndAfterACommand) {
    EXPECT_TRUE(parses("--endpoints a:1,b:2 kv get key"));
    EXPECT_TRUE(parses("kv get key --format json --endpoints a:1"));
}

TEST_F(CommandTableTest, RefusesWhatCannotBeMeant) {
    for (const char* line : {"", "kv", "kv get", "kv put a", "kv get a b --prefix", "kv get a --rev -1",
                             "member remove 12x", "member remove", "--format yaml status", "nonsense", "start extra",
                             "--timeout 0 status", "bench", "completion tcsh", "reload --config a --data-dir b", "init",
                             "init d --days 0", "init d --peer-port 70000", "top --interval 0"}) {
        EXPECT_FALSE(parses(line)) << line;
    }
    for (const char* line : {"kv get a b", "kv get a --prefix", "member remove 8e9e05c52164694d", "start --node.name a",
                             "top --once", "init d --nodes a,b=10.0.0.2", "reload --config a", "help kv get"}) {
        EXPECT_TRUE(parses(line)) << line;
    }
}

// Every row of the table of options is a flag.
TEST_F(CommandTableTest, HasAFlagForEveryOptionOfANode) {
    for (const node::Option& option : node::options()) {
        EXPECT_TRUE(parses("start --" + std::string(option.key) + " 7")) << option.key;
    }
}

}  // namespace
}  // namespace polis::cli
