#include "runtime/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/ensure.h"

namespace polis::runtime {
namespace {

constexpr uint64_t sector_bytes = 512;

std::string directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

struct SimDisk::Inode {
    struct Unsynced {
        std::string durable;  // What the sector held at the last sync; as long as it was then.
        uint64_t number = 0;  // Of the newest write to it.
    };
    std::string content;                   // What reads see.
    uint64_t durable_bytes = 0;            // The length at the last sync.
    std::map<uint64_t, Unsynced> sectors;  // Changed since the last sync, by sector.
    Instant free_at{};                     // When the operations given so far have ended.

    void remember(uint64_t sector, uint64_t number) {
        const auto [found, is_new] = sectors.try_emplace(sector);
        const uint64_t begin = sector * sector_bytes;
        if (is_new && begin < content.size()) found->second.durable = content.substr(begin, sector_bytes);
        found->second.number = number;
    }
    void write(uint64_t offset, std::string_view octets, uint64_t& next_number) {
        if (octets.empty()) return;
        for (uint64_t s = offset / sector_bytes; s <= (offset + octets.size() - 1) / sector_bytes; ++s) {
            remember(s, next_number++);
        }
        if (content.size() < offset + octets.size()) content.resize(offset + octets.size());
        std::ranges::copy(octets, content.begin() + static_cast<ptrdiff_t>(offset));
    }
    void truncate(uint64_t size, uint64_t& next_number) {
        for (uint64_t s = size / sector_bytes; s * sector_bytes < content.size(); ++s) remember(s, next_number++);
        content.resize(size);
    }
    void sync(uint64_t offset, uint64_t bytes) {
        if (bytes == 0) return;
        sectors.erase(sectors.lower_bound(offset / sector_bytes),
                      sectors.upper_bound((offset + bytes - 1) / sector_bytes));
        durable_bytes = std::max(durable_bytes, std::min<uint64_t>(offset + bytes, content.size()));
    }
    void sync() {
        sectors.clear();
        durable_bytes = content.size();
    }
    // The first `kept` octets of a sector stay new, the others are as they were at the last sync (zero beyond its end).
    void lose(uint64_t sector, const Unsynced& unsynced, uint64_t kept = 0) {
        const uint64_t begin = sector * sector_bytes;
        for (uint64_t i = kept; i < sector_bytes && begin + i < content.size(); ++i) {
            content[begin + i] = i < unsynced.durable.size() ? unsynced.durable[i] : '\0';
        }
    }
    std::string as_of_last_sync() const {
        Inode old = *this;
        old.content.resize(std::max(content.size(), durable_bytes));
        for (const auto& [sector, unsynced] : sectors) old.lose(sector, unsynced);
        old.content.resize(durable_bytes);
        return std::move(old.content);
    }
};

// A name made (`from` empty), moved, or removed (`to` empty).
struct SimDisk::NameChange {
    std::string from;
    std::string to;
    std::shared_ptr<Inode> inode;
};

// A stretch of virtual time that ends early, with Canceled, when the machine crashes. Lives in the waiting coroutine's frame.
class [[nodiscard]] SimDisk::Wait {
public:
    Wait(SimDisk& disk, Life life, std::optional<Instant> when) : disk_(disk), life_(life), when_(when) {}

    bool await_ready() const noexcept { return disk_.life_ != life_; }
    template <TaskPromise P>
    void await_suspend(std::coroutine_handle<P> self) {
        self_ = self;
        const uint64_t number = disk_.next_wait_++;
        disk_.waits_.emplace(number, this);
        if (!when_) return;
        disk_.reactor_.call_at(*when_, [&disk = disk_, number] {
            const auto found = disk.waits_.find(number);
            if (found == disk.waits_.end()) return;
            Wait& wait = *found->second;
            disk.waits_.erase(found);
            wait.end();
        });
    }
    Result<void> await_resume() const {
        if (disk_.life_ != life_) return fail(Code::Canceled, "the machine crashed");
        return {};
    }

    void end() { disk_.reactor_.schedule(self_); }

private:
    SimDisk& disk_;
    Life life_;
    std::optional<Instant> when_;  // Never, if unset.
    std::coroutine_handle<> self_;
};

class SimDisk::SimFile : public File {
public:
    SimFile(SimDisk& disk, Life life, std::shared_ptr<Inode> inode, bool writable)
        : disk_(disk), life_(life), inode_(std::move(inode)), writable_(writable) {}

    Task<void> write(uint64_t offset, std::span<const std::string_view> parts) override {
        std::string octets;
        for (const std::string_view part : parts) octets += part;
        CO_TRY(co_await write_octets(offset, std::move(octets)));
        co_return done();
    }

    Task<void> write_durably(uint64_t offset, std::span<const std::string_view> parts) override {
        std::string octets;
        for (const std::string_view part : parts) octets += part;
        const uint64_t bytes = octets.size();
        const Result<uint64_t> written = co_await write_octets(offset, std::move(octets));
        if (!written && written.error().code == Code::Io && disk_.process_ends("a durable write failed")) {
            CO_TRY(co_await disk_.wait_for_end(life_));
        }
        if (!written) co_return std::unexpected(written.error());
        CO_TRY(co_await flush());
        inode_->sync(*written, bytes);
        co_return done();
    }

    Task<size_t> read(uint64_t offset, std::span<std::byte> target) override {
        CO_TRY(co_await disk_.take(life_, disk_.options_.read_latency_min, disk_.options_.read_latency_max));
        const DiskFaults& faults = disk_.options_.faults;
        Chance& chance = disk_.chance_;
        if (chance.happens(faults.read_error_permille)) co_return fail(Code::Io, "simulated read error");
        const bool stale = chance.happens(faults.stale_read_permille);
        const std::string old = stale ? inode_->as_of_last_sync() : std::string();
        const std::string& content = stale ? old : inode_->content;
        if (offset >= content.size()) co_return size_t{0};
        const size_t count = std::min<size_t>(target.size(), content.size() - offset);
        uint64_t from = offset;
        if (chance.happens(faults.misdirected_read_permille) && content.size() - count >= sector_bytes) {
            from = chance.below((content.size() - count) / sector_bytes + 1) * sector_bytes;
            from = std::min<uint64_t>(from, content.size() - count);
        }
        std::memcpy(target.data(), content.data() + from, count);
        if (count > 0 && chance.happens(faults.read_bit_flip_permille)) {
            target[chance.below(count)] ^= std::byte{1} << static_cast<int>(chance.below(8));
        }
        co_return count;
    }

    Task<void> sync() override {
        CO_TRY(co_await flush());
        inode_->sync();
        co_return done();
    }

    Task<void> truncate(uint64_t size_bytes) override {
        CO_TRY(co_await disk_.wait_until(life_, queue(Duration(0), Duration(0))));
        inode_->truncate(size_bytes, disk_.write_number_);
        co_return co_await disk_.take(life_, disk_.options_.write_latency_min, disk_.options_.write_latency_max);
    }

    Task<uint64_t> size_bytes() override {
        if (disk_.life_ != life_) co_return fail(Code::Canceled, "the machine crashed");
        co_return inode_->content.size();
    }

private:
    // The device writes out what it has been given; what of it then counts as durable is the caller's to say.
    Task<void> flush() {
        CO_TRY(co_await disk_.wait_until(life_, queue(Duration(0), Duration(0))));
        CO_TRY(
            co_await disk_.wait_until(life_, queue(disk_.options_.sync_latency_min, disk_.options_.sync_latency_max)));
        if (disk_.chance_.happens(disk_.options_.faults.sync_failure_permille)) {
            if (!disk_.process_ends("fdatasync failed")) co_return fail(Code::Io, "simulated sync failure");
            CO_TRY(co_await disk_.wait_for_end(life_));
        }
        ++disk_.syncs_;
        co_return done();
    }

    // When an operation given now ends, behind those given before.
    Instant queue(Duration low, Duration high) {
        const Instant begin = std::max(disk_.reactor_.now(), inode_->free_at);
        inode_->free_at = begin + disk_.draw(low, high) + Duration(1);
        return inode_->free_at;
    }

    // Returns where they went, which a fault may have changed.
    Task<uint64_t> write_octets(uint64_t offset, std::string octets) {
        if (!writable_) co_return fail(Code::Denied, "the file is open for reading only");
        // Its turn comes; then the octets are in the page cache, and a crash may find any part of them on the disk.
        CO_TRY(co_await disk_.wait_until(life_, queue(Duration(0), Duration(0))));
        const DiskFaults& faults = disk_.options_.faults;
        Chance& chance = disk_.chance_;
        disk_.bytes_written_ += octets.size();
        const Result<void> grown = room_for(offset, octets);
        const bool error = chance.happens(faults.write_error_permille);
        if (error) octets.resize(chance.below(octets.size() + 1));
        if (!octets.empty() && chance.happens(faults.written_bit_flip_permille)) {
            char& octet = octets[chance.below(octets.size())];
            octet = static_cast<char>(octet ^ (1 << chance.below(8)));
        }
        if (chance.happens(faults.misdirected_write_permille) && inode_->content.size() > octets.size()) {
            offset = chance.below((inode_->content.size() - octets.size()) / sector_bytes + 1) * sector_bytes;
        }
        if (!chance.happens(faults.lost_write_permille)) inode_->write(offset, octets, disk_.write_number_);
        CO_TRY(co_await disk_.wait_until(life_,
                                         queue(disk_.options_.write_latency_min, disk_.options_.write_latency_max)));
        if (error) co_return fail(Code::Io, "simulated write error");
        CO_TRY(grown);
        co_return offset;
    }

    // Cuts `octets` to what the disk has room for.
    Result<void> room_for(uint64_t offset, std::string& octets) {
        const uint64_t size = inode_->content.size();
        const uint64_t end = offset + octets.size();
        const uint64_t used = disk_.used_bytes();
        const uint64_t free = disk_.options_.capacity_bytes > used ? disk_.options_.capacity_bytes - used : 0;
        if (end <= size || end - size <= free) return {};
        const uint64_t fits = std::max(size + free, offset) - offset;
        octets.resize(disk_.chance_.below(std::min<uint64_t>(fits, octets.size()) + 1));
        return fail(Code::NoSpace, "the simulated disk is full");
    }

    SimDisk& disk_;
    const Life life_;
    const std::shared_ptr<Inode> inode_;
    const bool writable_;
};

class SimDisk::Mount : public Disk {
public:
    Mount(SimDisk& disk, Life life) : disk_(disk), life_(life) {}

    Task<std::unique_ptr<File>> open(std::string path, OpenMode mode) override {
        return disk_.open_in(life_, std::move(path), mode);
    }
    Task<void> make_directories(std::string path) override { return disk_.make_directories_in(life_, std::move(path)); }
    Task<std::vector<std::string>> list(std::string path) override { return disk_.list_in(life_, std::move(path)); }
    Task<void> rename(std::string from, std::string to) override {
        return disk_.rename_in(life_, std::move(from), std::move(to));
    }
    Task<void> remove(std::string path) override { return disk_.remove_in(life_, std::move(path)); }
    Task<void> sync_directory(std::string path) override { return disk_.sync_directory_in(life_, std::move(path)); }
    Task<uint64_t> free_bytes() override { return disk_.free_bytes_in(life_); }
    std::string root() const override { return {}; }

private:
    SimDisk& disk_;
    const Life life_;
};

SimDisk::SimDisk(SimReactor& reactor, Options options)
    : reactor_(reactor), options_(options), chance_(Chance(options.seed).split("disk")), directories_{""} {}

SimDisk::~SimDisk() { ENSURE(waits_.empty()); }

std::unique_ptr<Disk> SimDisk::mount() { return std::make_unique<Mount>(*this, life_); }

SimDisk::Wait SimDisk::wait_until(Life life, Instant when) { return Wait(*this, life, when); }
SimDisk::Wait SimDisk::wait_for_end(Life life) { return Wait(*this, life, std::nullopt); }
SimDisk::Wait SimDisk::take(Life life, Duration latency_min, Duration latency_max) {
    return wait_until(life, reactor_.now() + draw(latency_min, latency_max) + Duration(1));
}

Duration SimDisk::draw(Duration low, Duration high) {
    if (high <= low) return low;
    const Duration drawn = low + Duration(chance_.below(static_cast<uint64_t>((high - low).count())));
    return chance_.happens(options_.faults.stall_permille) ? drawn + options_.faults.stall : drawn;
}

bool SimDisk::process_ends(std::string_view why) {
    if (!process_end_) return false;
    process_end_(why);
    return true;
}

uint64_t SimDisk::used_bytes() const {
    uint64_t used = 0;
    for (const auto& [path, inode] : names_) used += inode->content.size();
    return used;
}

// ---- Names ----

void SimDisk::apply(std::map<std::string, std::shared_ptr<Inode>>& names, const NameChange& change) {
    // An earlier change that this one builds on may have been lost: then there is nothing to move or remove.
    if (!change.from.empty() && names.erase(change.from) == 0) return;
    if (!change.to.empty()) names[change.to] = change.inode;
}

void SimDisk::change(NameChange change) {
    apply(names_, change);
    unsynced_changes_.push_back(std::move(change));
}

Task<std::unique_ptr<File>> SimDisk::open_in(Life life, std::string path, OpenMode mode) {
    CO_TRY(co_await take(life, options_.read_latency_min, options_.read_latency_max));
    const auto found = names_.find(path);
    if (mode == OpenMode::Create) {
        if (found != names_.end() || directories_.contains(path)) co_return fail(Code::Exists, path + " exists");
        if (!directories_.contains(directory_of(path))) co_return fail(Code::NotFound, "no directory for " + path);
        change({.from = {}, .to = path, .inode = std::make_shared<Inode>()});
    } else if (found == names_.end()) {
        co_return fail(Code::NotFound, "cannot open " + path + ": no such file");
    }
    std::unique_ptr<File> file = std::make_unique<SimFile>(*this, life, names_.at(path), mode != OpenMode::Read);
    co_return file;
}

Task<void> SimDisk::make_directories_in(Life life, std::string path) {
    CO_TRY(co_await take(life, options_.write_latency_min, options_.write_latency_max));
    for (std::string part = path; !part.empty(); part = directory_of(part)) {
        if (names_.contains(part)) co_return fail(Code::NotFound, part + " is a file, not a directory");
        directories_.insert(part);
    }
    co_return done();
}

Task<std::vector<std::string>> SimDisk::list_in(Life life, std::string path) {
    CO_TRY(co_await take(life, options_.read_latency_min, options_.read_latency_max));
    if (!directories_.contains(path)) co_return fail(Code::NotFound, "no directory " + path);
    std::set<std::string> found;
    const auto add = [&found, &path](const std::string& candidate) {
        if (candidate.empty() || directory_of(candidate) != path) return;
        found.insert(path.empty() ? candidate : candidate.substr(path.size() + 1));
    };
    for (const auto& [name, inode] : names_) add(name);
    for (const std::string& directory : directories_) add(directory);
    co_return std::vector<std::string>(found.begin(), found.end());
}

Task<void> SimDisk::rename_in(Life life, std::string from, std::string to) {
    CO_TRY(co_await take(life, options_.write_latency_min, options_.write_latency_max));
    const auto found = names_.find(from);
    if (found == names_.end()) co_return fail(Code::NotFound, "no file " + from);
    if (!directories_.contains(directory_of(to))) co_return fail(Code::NotFound, "no directory for " + to);
    change({.from = from, .to = to, .inode = found->second});
    co_return done();
}

Task<void> SimDisk::remove_in(Life life, std::string path) {
    CO_TRY(co_await take(life, options_.write_latency_min, options_.write_latency_max));
    if (const auto found = names_.find(path); found != names_.end()) {
        change({.from = path, .to = {}, .inode = found->second});
        co_return done();
    }
    if (path.empty() || !directories_.contains(path)) co_return fail(Code::NotFound, "no file " + path);
    const auto inside = [&path](const auto& candidate) { return directory_of(candidate) == path; };
    const bool used = std::ranges::any_of(directories_, inside) ||
                      std::ranges::any_of(names_, [&](const auto& entry) { return inside(entry.first); });
    if (used) co_return fail(Code::Exists, path + " is not empty");
    directories_.erase(path);
    co_return done();
}

Task<void> SimDisk::sync_directory_in(Life life, std::string path) {
    CO_TRY(co_await take(life, options_.sync_latency_min, options_.sync_latency_max));
    if (!directories_.contains(path)) co_return fail(Code::NotFound, "no directory " + path);
    ++syncs_;
    // Changes of other directories may stay behind; a move becomes durable with the directory it leads into.
    std::vector<NameChange> others;
    for (NameChange& each : unsynced_changes_) {
        if (directory_of(each.to.empty() ? each.from : each.to) == path) {
            apply(durable_names_, each);
        } else {
            others.push_back(std::move(each));
        }
    }
    unsynced_changes_ = std::move(others);
    co_return done();
}

Task<uint64_t> SimDisk::free_bytes_in(Life life) {
    if (life != life_) co_return fail(Code::Canceled, "the machine crashed");
    const uint64_t used = used_bytes();
    co_return options_.capacity_bytes > used ? options_.capacity_bytes - used : 0;
}

// ---- Crash ----

void SimDisk::crash(CrashLoss loss) {
    ++life_;
    for (const auto& [number, wait] : std::exchange(waits_, {})) wait->end();

    if (loss == CrashLoss::Drawn) {
        constexpr CrashLoss choices[] = {CrashLoss::All, CrashLoss::Nothing, CrashLoss::Suffix, CrashLoss::Scattered};
        loss = choices[chance_.below(4)];
    }
    // Names come back in the order of the file system's journal, up to a point.
    size_t kept = unsynced_changes_.size();
    if (loss == CrashLoss::All) kept = 0;
    if (loss != CrashLoss::All && loss != CrashLoss::Nothing) kept = chance_.below(kept + 1);
    for (size_t i = 0; i < kept; ++i) apply(durable_names_, unsynced_changes_[i]);
    unsynced_changes_.clear();
    names_ = durable_names_;

    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    for (const auto& [path, inode] : names_) {
        for (const auto& [sector, unsynced] : inode->sectors) {
            first = std::min(first, unsynced.number);
            last = std::max(last, unsynced.number);
        }
    }
    const uint64_t lost_from = first > last ? 0 : chance_.between(first, last + 1);
    for (const auto& [path, inode] : names_) {
        const uint64_t longest = std::max<uint64_t>(inode->content.size(), inode->durable_bytes);
        const bool keep_length = loss == CrashLoss::Nothing || (loss != CrashLoss::All && chance_.happens(500));
        const uint64_t length = keep_length ? inode->content.size() : inode->durable_bytes;
        inode->content.resize(longest);
        for (const auto& [sector, unsynced] : inode->sectors) {
            const bool torn = loss == CrashLoss::TornSector && unsynced.number == lost_from;
            const bool lost =
                loss == CrashLoss::All || (loss == CrashLoss::Scattered && chance_.happens(500)) ||
                ((loss == CrashLoss::Suffix || loss == CrashLoss::TornSector) && unsynced.number >= lost_from);
            if (lost) inode->lose(sector, unsynced, torn ? chance_.below(sector_bytes) : 0);
        }
        inode->content.resize(length);
        inode->sync();
        inode->free_at = reactor_.now();
    }
}

// ---- Hands-on access ----

std::vector<std::string> SimDisk::paths() const {
    std::vector<std::string> paths;
    for (const auto& [path, inode] : names_) paths.push_back(path);
    return paths;
}

const std::string& SimDisk::content(const std::string& path) const {
    const auto found = names_.find(path);
    ENSURE(found != names_.end());
    return found->second->content;
}

void SimDisk::flip_bit(const std::string& path, uint64_t offset, unsigned bit) {
    ENSURE(bit < 8);
    ENSURE(offset < content(path).size());
    char& octet = names_.at(path)->content[offset];
    octet = static_cast<char>(octet ^ (1 << bit));
}

void SimDisk::overwrite(const std::string& path, uint64_t offset, std::string_view octets) {
    ENSURE(offset + octets.size() <= content(path).size());
    std::ranges::copy(octets, names_.at(path)->content.begin() + static_cast<ptrdiff_t>(offset));
}

void SimDisk::put(const std::string& path, std::string content) {
    for (std::string part = directory_of(path); !part.empty(); part = directory_of(part)) directories_.insert(part);
    auto inode = std::make_shared<Inode>();
    inode->content = std::move(content);
    inode->sync();
    names_[path] = inode;
    durable_names_[path] = inode;
}

Task<std::unique_ptr<File>> SimDisk::open(std::string path, OpenMode mode) {
    return open_in(life_, std::move(path), mode);
}
Task<void> SimDisk::make_directories(std::string path) { return make_directories_in(life_, std::move(path)); }
Task<std::vector<std::string>> SimDisk::list(std::string path) { return list_in(life_, std::move(path)); }
Task<void> SimDisk::rename(std::string from, std::string to) {
    return rename_in(life_, std::move(from), std::move(to));
}
Task<void> SimDisk::remove(std::string path) { return remove_in(life_, std::move(path)); }
Task<void> SimDisk::sync_directory(std::string path) { return sync_directory_in(life_, std::move(path)); }
Task<uint64_t> SimDisk::free_bytes() { return free_bytes_in(life_); }

}  // namespace polis::runtime
