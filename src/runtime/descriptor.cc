#include "runtime/descriptor.h"

#include <unistd.h>

namespace polis::runtime {

Descriptor::~Descriptor() {
    if (number_ >= 0) ::close(release());
}

int Descriptor::release() {
    ENSURE(!is_read() && !is_written());
    // Said to epoll even before a close: a process that was forked meanwhile may have the socket too, and keep it known.
    reactor_.unwatch(number_);
    return std::exchange(number_, -1);
}

void Descriptor::ready(uint32_t events) {
    constexpr uint32_t over = EPOLLHUP | EPOLLERR;
    if (events & (EPOLLRDHUP | over)) hung_up_ = true;
    if (events & (EPOLLIN | EPOLLRDHUP | over)) make_ready(reading_);
    if (events & (EPOLLOUT | over)) make_ready(writing_);
}

void Descriptor::wake_all() {
    make_ready(reading_);
    make_ready(writing_);
}

}  // namespace polis::runtime
