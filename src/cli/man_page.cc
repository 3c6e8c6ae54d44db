#include "cli/man_page.h"

#include <string_view>

#include "cli/version.h"

namespace polis::cli {
namespace {

// Text that roff shows as it is.
std::string escaped(std::string_view text) {
    std::string out;
    for (const char letter : text) {
        if (letter == '\\') {
            out += "\\e";
        } else if (letter == '-') {
            out += "\\-";
        } else if (letter == '\n') {
            out += ' ';
        } else {
            out += letter;
        }
    }
    // A line that begins so would be a request.
    return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string upper(std::string text) {
    for (char& letter : text) {
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    }
    return text;
}

std::string with_full_stop(const std::string& sentence) {
    return sentence.empty() || sentence.ends_with('.') ? sentence : sentence + ".";
}

std::string option_text(const OptionRow& option) {
    std::string names;
    for (const std::string& name : option.names) names += (names.empty() ? "" : ", ") + name;
    std::string out = ".TP\n.B " + escaped(option.by_place ? upper(names) : names);
    if (option.takes_value) out += " \\fIVALUE\\fR";
    return out + "\n" + escaped(with_full_stop(option.sentence)) + "\n";
}

std::string synopsis_of(const CommandRow& command) {
    std::string out = escaped(command.words());
    bool has_options = false;
    for (const OptionRow& option : command.options) {
        if (!option.by_place) {
            has_options = true;
            continue;
        }
        const std::string name = escaped(upper(option.names.front())) + (option.many ? "..." : "");
        out += option.required ? " " + name : " [" + name + "]";
    }
    if (has_options) out += " [\\fIoptions\\fR]";
    return out;
}

std::string command_text(const CommandRow& command) {
    std::string out = ".SS " + synopsis_of(command) + "\n" + escaped(with_full_stop(command.sentence)) + "\n";
    std::string group;
    for (const OptionRow& option : command.options) {
        if (option.names.front() == "-h") continue;  // All have it; it is told once.
        if (option.group != group && !option.group.empty()) out += ".PP\n" + escaped(option.group) + ":\n";
        group = option.group;
        out += option_text(option);
    }
    return out;
}

constexpr char ending[] = R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Failed: refused, or a check of \fBdoctor\fR found something that is wrong.
.TP
.B 2
The command line or the configuration is wrong; nothing was done.
.TP
.B 3
Unavailable: no node could be reached, or the cluster has no leader; nothing was done.
.TP
.B 4
The outcome is not known: a write may have been done or not. Read to find out.
.SH ENVIRONMENT
Every option of a node's configuration is also a variable: \fBPOLIS_NODE_NAME\fR is \fBnode.name\fR. Flags of \fBpolis start\fR stand
above variables, variables above the file.
.SH SIGNALS
.TP
.B SIGTERM, SIGINT
A node lets calls under way end for half a second, then stops.
.TP
.B SIGHUP
A node reads its configuration and certificates again, as \fBpolis reload\fR makes it do.
.SH SEE ALSO
.BR etcdctl (1)
)";

}  // namespace

std::string man_page(const CommandRow& root) {
    std::string out = ".\\\" Made by `polis help --man`; do not edit.\n";
    out += ".TH POLIS 1 \"\" \"polis " + escaped(version) + "\" \"User Commands\"\n";
    out += ".SH NAME\npolis \\- " + escaped("one binary that does the jobs of etcd and its kin") + "\n";
    out += ".SH SYNOPSIS\n.B polis\n[\\fIglobal options\\fR] \\fIcommand\\fR [\\fIarguments\\fR]\n";
    out += ".SH DESCRIPTION\n" + escaped(root.sentence) + "\n";
    out += ".SH GLOBAL OPTIONS\nGiven before or after any command.\n";
    for (const OptionRow& option : root.options) out += option_text(option);
    out += ".SH COMMANDS\n";
    for (const CommandRow* command : all_commands(root)) {
        if (command != &root) out += command_text(*command);
    }
    return out + ending;
}

}  // namespace polis::cli
