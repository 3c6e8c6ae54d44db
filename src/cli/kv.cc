// polis kv: reads and writes keys.
#include <CLI/App.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/json.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::cli {
namespace {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// The end of the range of all keys that begin with `prefix`.
std::string prefix_end(std::string prefix) {
    while (!prefix.empty()) {
        if (static_cast<unsigned char>(prefix.back()) != 0xff) {
            ++prefix.back();
            return prefix;
        }
        prefix.pop_back();
    }
    return std::string(1, '\0');
}

struct Arguments {
    std::string key, value, end;
    bool prefix = false, serializable = false, keys_only = false;
    int64_t revision = 0, limit = 0, lease = 0;
};

template <class Request>
void set_range(const Arguments& arguments, Request& request) {
    request.set_key(arguments.key);
    request.set_range_end(arguments.prefix ? prefix_end(arguments.key) : arguments.end);
    if (arguments.prefix && arguments.key.empty()) request.set_key(std::string(1, '\0'));
}

int get(const Globals& globals, const Arguments& arguments) {
    RangeRequest request;
    set_range(arguments, request);
    request.set_revision(arguments.revision);
    request.set_limit(arguments.limit);
    request.set_serializable(arguments.serializable);
    request.set_keys_only(arguments.keys_only);
    NodeClient client(globals);
    const auto answer = client.ask<RangeResponse>("/etcdserverpb.KV/Range", request);
    if (!answer) return failed(answer.error());
    if (globals.json()) return print_json(*answer);
    for (const auto& pair : answer->kvs()) {
        std::fwrite(pair.key().data(), 1, pair.key().size(), stdout);
        std::fputc('\n', stdout);
        if (arguments.keys_only) continue;
        std::fwrite(pair.value().data(), 1, pair.value().size(), stdout);
        std::fputc('\n', stdout);
    }
    // As etcdctl: an absent key is no failure of the command. Scripts that want to know look at the output.
    return ExitCode::Ok;
}

int put(const Globals& globals, const Arguments& arguments) {
    PutRequest request;
    request.set_key(arguments.key);
    request.set_value(arguments.value);
    request.set_lease(arguments.lease);
    NodeClient client(globals);
    const auto answer = client.ask<PutResponse>("/etcdserverpb.KV/Put", request);
    if (!answer) return failed(answer.error());
    if (globals.json()) return print_json(*answer);
    std::printf("revision %ld\n", static_cast<long>(answer->header().revision()));
    return ExitCode::Ok;
}

int remove(const Globals& globals, const Arguments& arguments) {
    DeleteRangeRequest request;
    set_range(arguments, request);
    NodeClient client(globals);
    const auto answer = client.ask<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", request);
    if (!answer) return failed(answer.error());
    if (globals.json()) return print_json(*answer);
    std::printf("deleted %ld\n", static_cast<long>(answer->deleted()));
    return ExitCode::Ok;
}

}  // namespace

void add_kv_commands(CLI::App& app, const Globals& globals, int& exit_code) {
    CLI::App* kv = app.add_subcommand("kv", "Read and write keys");
    kv->require_subcommand(1);
    const auto arguments = std::make_shared<Arguments>();

    CLI::App* get_command = kv->add_subcommand("get", "Print a key, or a range of keys, with values");
    get_command->add_option("key", arguments->key, "The key, or the first of a range")->required();
    get_command->add_option("range_end", arguments->end, "The end of the range, itself not included");
    get_command->add_flag("--prefix", arguments->prefix, "All keys that begin so");
    get_command->add_flag("--serializable", arguments->serializable, "This node's state, perhaps stale");
    get_command->add_flag("--keys-only", arguments->keys_only, "Leave out the values");
    get_command->add_option("--rev", arguments->revision, "As of this revision");
    get_command->add_option("--limit", arguments->limit, "At most so many");
    get_command->callback([&globals, &exit_code, arguments] { exit_code = get(globals, *arguments); });

    CLI::App* put_command = kv->add_subcommand("put", "Write a key");
    put_command->add_option("key", arguments->key)->required();
    put_command->add_option("value", arguments->value)->required();
    put_command->add_option("--lease", arguments->lease, "The key goes when this lease ends (decimal id)");
    put_command->callback([&globals, &exit_code, arguments] { exit_code = put(globals, *arguments); });

    CLI::App* delete_command = kv->add_subcommand("del", "Delete a key, or a range of keys");
    delete_command->add_option("key", arguments->key)->required();
    delete_command->add_option("range_end", arguments->end);
    delete_command->add_flag("--prefix", arguments->prefix, "All keys that begin so");
    delete_command->callback([&globals, &exit_code, arguments] { exit_code = remove(globals, *arguments); });
}

}  // namespace polis::cli
