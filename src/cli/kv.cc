// polis kv: reads and writes keys.
#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/key_range.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::cli {
namespace {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

struct Arguments {
    std::string key, value, end;
    bool prefix = false, serializable = false, keys_only = false;
    int64_t revision = 0, limit = 0, lease = 0;
};

template <class Request>
Request with_range(const Arguments& arguments) {
    const KeyRange range = arguments.prefix ? range_of_prefix(arguments.key) : KeyRange{arguments.key, arguments.end};
    Request request;
    request.set_key(range.key);
    request.set_range_end(range.end);
    return request;
}

int get(const Globals& globals, const Arguments& arguments) {
    auto request = with_range<RangeRequest>(arguments);
    request.set_revision(arguments.revision);
    request.set_limit(arguments.limit);
    request.set_serializable(arguments.serializable);
    request.set_keys_only(arguments.keys_only);
    NodeClient client(globals);
    const auto answer = client.ask<RangeResponse>("/etcdserverpb.KV/Range", request);
    if (!answer) return failed(answer.error(), Effect::Reads);
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
    if (!answer) return failed(answer.error(), Effect::Writes);
    if (globals.json()) return print_json(*answer);
    std::printf("revision %ld\n", static_cast<long>(answer->header().revision()));
    return ExitCode::Ok;
}

int remove(const Globals& globals, const Arguments& arguments) {
    const auto request = with_range<DeleteRangeRequest>(arguments);
    NodeClient client(globals);
    const auto answer = client.ask<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", request);
    if (!answer) return failed(answer.error(), Effect::Writes);
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
    CLI::Option* get_end =
        get_command->add_option("range_end", arguments->end, "The end of the range, itself not included");
    get_command->add_flag("--prefix", arguments->prefix, "All keys that begin so")->excludes(get_end);
    get_command->add_flag("--serializable", arguments->serializable, "This node's state, perhaps stale");
    get_command->add_flag("--keys-only", arguments->keys_only, "Leave out the values");
    get_command->add_option("--rev", arguments->revision, "As of this revision")->check(CLI::NonNegativeNumber);
    get_command->add_option("--limit", arguments->limit, "At most so many")->check(CLI::NonNegativeNumber);
    get_command->callback([&globals, &exit_code, arguments] { exit_code = get(globals, *arguments); });

    CLI::App* put_command = kv->add_subcommand("put", "Write a key");
    put_command->add_option("key", arguments->key, "The key")->required();
    put_command->add_option("value", arguments->value, "Its value")->required();
    put_command->add_option("--lease", arguments->lease, "The key goes when this lease ends (decimal id)");
    put_command->callback([&globals, &exit_code, arguments] { exit_code = put(globals, *arguments); });

    CLI::App* delete_command = kv->add_subcommand("del", "Delete a key, or a range of keys");
    delete_command->add_option("key", arguments->key, "The key, or the first of a range")->required();
    CLI::Option* delete_end =
        delete_command->add_option("range_end", arguments->end, "The end of the range, itself not included");
    delete_command->add_flag("--prefix", arguments->prefix, "All keys that begin so")->excludes(delete_end);
    delete_command->callback([&globals, &exit_code, arguments] { exit_code = remove(globals, *arguments); });
}

}  // namespace polis::cli
