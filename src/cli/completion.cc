#include "cli/completion.h"

#include <set>

namespace polis::cli {
namespace {

// In single quotes for a POSIX shell.
std::string in_quotes(const std::string& text) {
    std::string out = "'";
    for (const char letter : text) {
        if (letter == '\'') {
            out += "'\\''";
        } else {
            out += letter;
        }
    }
    return out + "'";
}

// In single quotes for fish, where a backslash escapes inside them too.
std::string fish_quotes(const std::string& text) {
    std::string out = "'";
    for (const char letter : text) {
        if (letter == '\'' || letter == '\\') out += '\\';
        out += letter;
    }
    return out + "'";
}

std::string long_name(const OptionRow& option) {
    for (const std::string& name : option.names) {
        if (name.starts_with("--")) return name;
    }
    return option.names.front();
}

// Options whose value is the next word, of all commands: a name means the same everywhere.
std::string names_with_value(const CommandRow& root, const char* separator) {
    std::set<std::string> names;
    for (const CommandRow* command : all_commands(root)) {
        for (const OptionRow& option : command->options) {
            if (option.takes_value) names.insert(option.names.begin(), option.names.end());
        }
    }
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : separator) + name;
    return out;
}

// All that may come next at a command: what is below it, its own options, and the global ones.
struct Choice {
    std::string word;
    std::string sentence;
};
std::vector<Choice> choices_of(const CommandRow& command, const CommandRow& root) {
    std::vector<Choice> choices;
    for (const CommandRow& below : command.commands) choices.push_back({below.name(), below.sentence});
    std::set<std::string> told;  // -h is each command's and the root's.
    for (const CommandRow* from : {&command, &root}) {
        for (const OptionRow& option : from->options) {
            const std::string name = long_name(option);
            if (!option.by_place && told.insert(name).second) choices.push_back({name, option.sentence});
        }
    }
    return choices;
}

}  // namespace

std::string bash_completion(const CommandRow& root) {
    std::string out = "# Completion of polis for bash. Made by `polis completion bash`.\n_polis() {\n";
    out += "    local current=${COMP_WORDS[COMP_CWORD]} path=polis choices= i\n";
    out += "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case \"${COMP_WORDS[i]}\" in\n";
    out += "            " + names_with_value(root, "|") + ") ((i++)) ;;\n            -*) ;;\n";
    out += "            *) case \"$path ${COMP_WORDS[i]}\" in\n";
    for (const CommandRow* command : all_commands(root)) {
        if (command != &root)
            out += "                " + in_quotes(command->words()) + ") path=" + in_quotes(command->words()) + " ;;\n";
    }
    out += "            esac ;;\n        esac\n    done\n    case \"${COMP_WORDS[COMP_CWORD - 1]}\" in\n";
    out += "        " + names_with_value(root, "|") + ") return ;;\n    esac\n    case \"$path\" in\n";
    for (const CommandRow* command : all_commands(root)) {
        std::string words;
        for (const Choice& choice : choices_of(*command, root)) words += (words.empty() ? "" : " ") + choice.word;
        out += "        " + in_quotes(command->words()) + ") choices=" + in_quotes(words) + " ;;\n";
    }
    out += "    esac\n    COMPREPLY=($(compgen -W \"$choices\" -- \"$current\"))\n}\n";
    return out + "complete -o default -F _polis polis\n";
}

std::string zsh_completion(const CommandRow& root) {
    std::string out = "#compdef polis\n# Completion of polis for zsh. Made by `polis completion zsh`.\n_polis() {\n";
    out += "    local place=polis i\n    local -a choices\n    for ((i = 2; i < CURRENT; i++)); do\n";
    out += "        case \"${words[i]}\" in\n            " + names_with_value(root, "|") + ") ((i++)) ;;\n";
    out += "            -*) ;;\n            *) case \"$place ${words[i]}\" in\n";
    for (const CommandRow* command : all_commands(root)) {
        if (command != &root)
            out +=
                "                " + in_quotes(command->words()) + ") place=" + in_quotes(command->words()) + " ;;\n";
    }
    out += "            esac ;;\n        esac\n    done\n    case \"${words[CURRENT - 1]}\" in\n";
    out += "        " + names_with_value(root, "|") + ") _files; return ;;\n    esac\n    case \"$place\" in\n";
    for (const CommandRow* command : all_commands(root)) {
        out += "        " + in_quotes(command->words()) + ") choices=(\n";
        for (const Choice& choice : choices_of(*command, root)) {
            std::string word = choice.word;  // A colon parts word and sentence.
            for (size_t at = word.find(':'); at != std::string::npos; at = word.find(':', at + 2))
                word.insert(at, "\\");
            out += "            " + in_quotes(word + ":" + choice.sentence) + "\n";
        }
        out += "        ) ;;\n";
    }
    return out + "    esac\n    _describe 'polis' choices || _files\n}\n_polis \"$@\"\n";
}

std::string fish_completion(const CommandRow& root) {
    std::string out = "# Completion of polis for fish. Made by `polis completion fish`.\n";
    out += "function __polis_at\n    set -l place polis\n    set -l skip 0\n";
    out +=
        "    for word in (commandline -opc)[2..-1]\n        if test $skip = 1\n            set skip 0\n            "
        "continue\n        end\n";
    out += "        switch $word\n            case " + names_with_value(root, " ") +
           "\n                set skip 1\n            case '-*'\n";
    out += "            case '*'\n                switch \"$place $word\"\n";
    for (const CommandRow* command : all_commands(root)) {
        if (command == &root) continue;
        out += "                    case " + fish_quotes(command->words()) + "\n                        set place " +
               fish_quotes(command->words()) + "\n";
    }
    out += "                end\n        end\n    end\n    test \"$place\" = \"$argv[1]\"\nend\n";
    for (const CommandRow* command : all_commands(root)) {
        const std::string condition =
            "complete -c polis -n " + fish_quotes("__polis_at " + in_quotes(command->words()));
        for (const CommandRow& below : command->commands) {
            out += condition + " -f -a " + fish_quotes(below.name()) + " -d " + fish_quotes(below.sentence) + "\n";
        }
        for (const OptionRow& option : command->options) {
            if (option.by_place) continue;
            const std::string name = long_name(option);
            out += (command == &root ? "complete -c polis" : condition) +
                   (name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1)) +
                   (option.takes_value ? " -r" : "") + " -d " + fish_quotes(option.sentence) + "\n";
        }
    }
    return out;
}

}  // namespace polis::cli
