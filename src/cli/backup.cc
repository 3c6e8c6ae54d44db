// polis backup and polis restore: the state as an etcd snapshot file, out of a cluster and into a new one.
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/ensure.h"
#include "cli/command.h"
#include "cluster/restore.h"
#include "codec/bbolt/reader.h"
#include "codec/etcd/rpc.pb.h"
#include "node/config.h"
#include "node/translate.h"
#include "runtime/asio_network.h"
#include "runtime/asio_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/thread_pool.h"
#include "services/coord/import_api.h"

namespace polis::cli {
namespace {

constexpr size_t digest_bytes = 32;  // SHA-256

/// A snapshot file as etcd writes it: a bbolt database, then the SHA-256 of it.
class SnapshotFile : public codec::BboltSource {
public:
    static Result<std::unique_ptr<SnapshotFile>> open(const std::string& path) {
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) return fail(Code::NotFound, "cannot open " + path + ": " + std::strerror(errno));
        auto file = std::unique_ptr<SnapshotFile>(new SnapshotFile(descriptor));
        struct stat status{};
        if (::fstat(descriptor, &status) != 0) return fail(Code::Io, "cannot read " + path);
        const auto bytes = static_cast<uint64_t>(status.st_size);
        // Databases are whole sectors long; what goes beyond is the digest (etcd tells it the same way).
        if (bytes % 512 != digest_bytes) {
            return fail(Code::Corrupt, path + " has no digest at its end: is it a snapshot, and is it whole?");
        }
        file->bytes_ = bytes - digest_bytes;
        TRY(file->verify(path));
        return file;
    }
    ~SnapshotFile() override { ::close(descriptor_); }

    uint64_t bytes() const override { return bytes_; }
    Result<std::string> read(uint64_t offset, size_t count) const override {
        std::string octets(count, '\0');
        size_t filled = 0;
        while (filled < count) {
            const ssize_t got =
                ::pread(descriptor_, octets.data() + filled, count - filled, static_cast<off_t>(offset + filled));
            if (got <= 0) return fail(Code::Io, "the snapshot cannot be read to its end");
            filled += static_cast<size_t>(got);
        }
        return octets;
    }

private:
    explicit SnapshotFile(int descriptor) : descriptor_(descriptor) {}

    Result<void> verify(const std::string& path) const {
        constexpr size_t piece_bytes = 1u << 20;
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
        ENSURE(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
        for (uint64_t offset = 0; offset < bytes_; offset += piece_bytes) {
            LET(const std::string piece,
                read(offset, static_cast<size_t>(std::min<uint64_t>(piece_bytes, bytes_ - offset))));
            EVP_DigestUpdate(context.get(), piece.data(), piece.size());
        }
        unsigned char digest[digest_bytes];
        EVP_DigestFinal_ex(context.get(), digest, nullptr);
        LET(const std::string stored, read(bytes_, digest_bytes));
        if (std::memcmp(digest, stored.data(), sizeof digest) != 0) {
            return fail(Code::Corrupt, path + " is damaged: its digest does not match");
        }
        return {};
    }

    int descriptor_;
    uint64_t bytes_ = 0;
};

/// Receives Maintenance.Snapshot into a file that gets its name only when it is whole.
class Backup {
public:
    Backup(const Globals& globals, std::string path) : globals_(globals), path_(std::move(path)), network_(reactor_) {}

    Result<void> run() {
        LET(disk_, runtime::PosixDisk::open_root("/", {.threads = 1, .spin_max = Duration(0)}));
        return runtime::run(reactor_, receive());
    }

private:
    runtime::Task<void> receive() {
        const runtime::World world{reactor_, network_, *disk_, random_, pool_};
        CO_LET(rpc::ClientOptions options, client_options_of(globals_, globals_.endpoints.front()));
        const std::unique_ptr<rpc::Client> client = rpc::Client::create(world, options);
        Result<void> ended = co_await receive_from(*client);
        CO_TRY(co_await client->stop());
        co_return ended;
    }

    runtime::Task<void> receive_from(rpc::Client& client) {
        CO_LET(rpc::Metadata metadata, credentials_of(globals_));
        CO_LET(const auto stream, co_await client.open("/etcdserverpb.Maintenance/Snapshot", std::move(metadata)));
        CO_TRY(co_await stream->write(Bytes()));
        CO_TRY(co_await stream->finish());
        const std::string part = path_ + ".part";
        std::FILE* file = std::fopen(part.c_str(), "wb");
        if (file == nullptr) co_return fail(Code::Io, "cannot write " + part + ": " + std::strerror(errno));
        Result<void> written = co_await write_blobs(*stream, file);
        if (written && (std::fflush(file) != 0 || ::fsync(::fileno(file)) != 0)) {
            written = fail(Code::Io, "cannot write " + part + ": " + std::strerror(errno));
        }
        std::fclose(file);
        CO_TRY(written);
        CO_TRY(SnapshotFile::open(part));
        if (std::rename(part.c_str(), path_.c_str()) != 0) co_return fail(Code::Io, "cannot rename " + part);
        co_return runtime::done();
    }

    runtime::Task<void> write_blobs(rpc::ClientStream& stream, std::FILE* file) {
        for (;;) {
            CO_LET(const std::optional<Bytes> message, co_await stream.read());
            if (!message) break;
            etcdserverpb::SnapshotResponse piece;
            if (!piece.ParseFromArray(message->data(), static_cast<int>(message->size()))) {
                co_return fail(Code::Invalid, "the node's answer cannot be read");
            }
            if (std::fwrite(piece.blob().data(), 1, piece.blob().size(), file) != piece.blob().size()) {
                co_return fail(Code::NoSpace, std::string("cannot write: ") + std::strerror(errno));
            }
        }
        if (!stream.status().ok()) co_return fail(Code::Unavailable, stream.status().message);
        co_return runtime::done();
    }

    const Globals& globals_;
    std::string path_;
    runtime::AsioReactor reactor_;
    runtime::AsioNetwork network_;
    std::unique_ptr<runtime::PosixDisk> disk_;
    runtime::SystemRandom random_;
    runtime::ThreadPool pool_{1};
};

Result<void> restore(const std::string& config_path, const std::string& snapshot_path) {
    LET(const node::Config config, node::load_config(config_path));
    LET(const auto file, SnapshotFile::open(snapshot_path));
    LET(const codec::BboltReader snapshot, codec::BboltReader::open(*file));
    LET(const node::DirectoryLock lock, node::DirectoryLock::take(config.data_dir));
    runtime::AsioReactor reactor;
    runtime::AsioNetwork network(reactor);
    LET(const auto disk, runtime::PosixDisk::open_root(config.data_dir, {.threads = 1, .spin_max = Duration(0)}));
    runtime::SystemRandom random;
    runtime::ThreadPool pool(1);
    const runtime::World world{reactor, network, *disk, random, pool};
    const cluster::HostOptions options = node::host_options_of(config);
    const std::function<Result<void>(storage::Store&)> fill = [&snapshot](storage::Store& store) {
        return services::import_etcd_snapshot(snapshot, store);
    };
    return runtime::run(reactor, cluster::restore_node(world, options, fill));
}

}  // namespace

void add_backup_commands(CLI::App& app, const Globals& globals, int& exit_code) {
    const auto path = std::make_shared<std::string>();
    CLI::App* backup = app.add_subcommand("backup", "Write the state of the first endpoint into an etcd snapshot file");
    backup->add_option("file", *path, "The file; replaced only when the backup is whole and verified")->required();
    backup->callback([&globals, &exit_code, path] {
        const Result<void> done = Backup(globals, *path).run();
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
