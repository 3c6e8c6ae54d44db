// polis backup and polis restore: the state as an etcd snapshot file, out of a cluster and into a new one.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/command.h"
#include "cli/snapshot_file.h"
#include "cli/world.h"
#include "cluster/restore.h"
#include "codec/bbolt/reader.h"
#include "codec/etcd/rpc.pb.h"
#include "node/config.h"
#include "node/directory_lock.h"
#include "node/translate.h"
#include "rpc/client.h"
#include "services/coord/import_api.h"

namespace polis::cli {
namespace {

/// Receives Maintenance.Snapshot into a file that gets its name only when it is whole.
class Backup {
public:
    Backup(const Globals& globals, std::string path, ClientWorld& world)
        : globals_(globals), path_(std::move(path)), world_(world) {}

    /// Errors: of the endpoints tried, the last one's; Corrupt; Io; NoSpace.
    Result<void> run() {
        LET(rpc::Metadata metadata, credentials_of(globals_));
        Result<void> ended = fail(Code::Unavailable, "no endpoint was given");
        for (const std::string& endpoint : globals_.endpoints) {
            LET(rpc::ClientOptions options, client_options_of(globals_, endpoint));
            ended = world_.run(receive(std::move(options), metadata));
            if (ended || ended.error().code != Code::Unavailable) break;
        }
        return ended;
    }

private:
    runtime::Task<void> receive(rpc::ClientOptions options, rpc::Metadata metadata) {
        const std::unique_ptr<rpc::Client> client = rpc::Client::create(world_.world(), std::move(options));
        Result<void> ended = co_await receive_from(*client, std::move(metadata));
        CO_TRY(co_await client->stop());
        co_return ended;
    }

    runtime::Task<void> receive_from(rpc::Client& client, rpc::Metadata metadata) {
        CO_LET(const auto stream, co_await client.open("/etcdserverpb.Maintenance/Snapshot", std::move(metadata)));
        CO_TRY(co_await stream->write(Bytes()));
        CO_TRY(co_await stream->finish());
        const std::string part = path_ + ".part";
        const int descriptor = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (descriptor < 0) co_return fail(Code::Io, "cannot write " + part + ": " + std::strerror(errno));
        Result<void> written = co_await write_blobs(*stream, descriptor);
        if (written && ::fsync(descriptor) != 0) written = cannot_write(part);
        ::close(descriptor);
        if (written) written = verify(part);
        if (!written) {
            ::unlink(part.c_str());
            co_return written;
        }
        if (std::rename(part.c_str(), path_.c_str()) != 0) co_return cannot_write(path_);
        co_return sync_folder_of(path_);
    }

    static Result<void> verify(const std::string& path) {
        LET(const auto file, SnapshotFile::open(path));
        TRY(codec::BboltReader::open(*file));
        return {};
    }

    static std::unexpected<Error> cannot_write(const std::string& path) {
        return fail(errno == ENOSPC ? Code::NoSpace : Code::Io, "cannot write " + path + ": " + std::strerror(errno));
    }

    // Without it a power cut may take the new name away again.
    static Result<void> sync_folder_of(const std::string& path) {
        const size_t slash = path.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
        const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0 || ::fsync(descriptor) != 0) {
            if (descriptor >= 0) ::close(descriptor);
            return cannot_write(folder);
        }
        ::close(descriptor);
        return {};
    }

    static runtime::Task<void> write_blobs(rpc::ClientStream& stream, int descriptor) {
        for (;;) {
            CO_LET(const std::optional<Bytes> message, co_await stream.read());
            if (!message) break;
            etcdserverpb::SnapshotResponse piece;
            if (!piece.ParseFromArray(message->data(), static_cast<int>(message->size()))) {
                co_return fail(Code::Invalid, "the node's answer cannot be read");
            }
            CO_TRY(write_all(descriptor, piece.blob()));
        }
        const rpc::Status& status = stream.status();
        if (status.ok()) co_return runtime::done();
        const bool passing = status.code == rpc::StatusCode::Unavailable;
        co_return fail(passing ? Code::Unavailable : Code::Denied, status.message);
    }

    static Result<void> write_all(int descriptor, std::string_view octets) {
        while (!octets.empty()) {
            const ssize_t count = ::write(descriptor, octets.data(), octets.size());
            if (count < 0 && errno != EINTR) return cannot_write("the backup");
            if (count > 0) octets.remove_prefix(static_cast<size_t>(count));
        }
        return {};
    }

    const Globals& globals_;
    std::string path_;
    ClientWorld& world_;
};

Result<void> back_up(const Globals& globals, const std::string& path) {
    LET(const auto world, ClientWorld::open());
    return Backup(globals, path, *world).run();
}

Result<void> restore(const std::string& config_path, const std::string& snapshot_path) {
    LET(const node::Config config,
        node::load_config({.path = config_path, .environment = node::environment_of_process()}));
    LET(const auto file, SnapshotFile::open(snapshot_path));
    LET(const codec::BboltReader snapshot, codec::BboltReader::open(*file));
    LET(const node::DirectoryLock lock, node::DirectoryLock::take(config.data_dir));
    LET(const auto world, ClientWorld::open(config.data_dir));
    const std::function<Result<void>(storage::Store&)> fill = [&snapshot](storage::Store& store) {
        return services::import_etcd_snapshot(snapshot, store);
    };
    return world->run(cluster::restore_node(world->world(), node::host_options_of(config), fill));
}

}  // namespace

void add_backup_commands(CLI::App& app, const Globals& globals, int& exit_code) {
    const auto path = std::make_shared<std::string>();
    CLI::App* backup =
        app.add_subcommand("backup", "Write the state of the first endpoint that answers into an etcd snapshot file");
    backup->add_option("file", *path, "The file; replaced only when the backup is whole and verified")->required();
    backup->callback([&globals, &exit_code, path] {
        const Result<void> done = back_up(globals, *path);
        if (done) std::printf("saved %s\n", path->c_str());
        exit_code = done ? static_cast<int>(ExitCode::Ok) : failed(done.error());
    });

    const auto config = std::make_shared<std::string>();
    CLI::App* restore_command =
        app.add_subcommand("restore", "Make a new node's data directory from a backup or an etcd snapshot");
    restore_command->add_option("file", *path, "The snapshot; all founders of the new cluster take the same")
        ->required();
    restore_command->add_option("--config", *config, "The new node's configuration")->required();
    restore_command->callback([&exit_code, path, config] {
        const Result<void> done = restore(*config, *path);
        if (done) std::puts("restored; now start the node");
        exit_code = done ? static_cast<int>(ExitCode::Ok) : failed(done.error());
    });
}

}  // namespace polis::cli
