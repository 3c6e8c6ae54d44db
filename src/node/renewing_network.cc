#include "node/renewing_network.h"

#include <utility>

#include "base/ensure.h"

namespace polis::node {

class RenewingNetwork::Port : public runtime::Listener {
public:
    Port(RenewingNetwork& network, std::unique_ptr<runtime::Listener> under, Tls original)
        : network_(network), under_(std::move(under)), original_(std::move(original)) {
        network_.ports_.insert(this);
    }
    ~Port() override { network_.ports_.erase(this); }

    runtime::Task<std::unique_ptr<runtime::Stream>> accept() override { return under_->accept(); }
    runtime::Task<void> handshake(runtime::Stream& stream) override { return under_->handshake(stream); }
    void set_tls(Tls tls) override {
        original_ = tls;
        under_->set_tls(network_.current(tls));
    }
    runtime::Address address() const override { return under_->address(); }

    void renew(const Tls& original, const Tls& fresh) {
        if (original_ == original) under_->set_tls(fresh);
    }

private:
    RenewingNetwork& network_;
    std::unique_ptr<runtime::Listener> under_;
    Tls original_;
};

RenewingNetwork::~RenewingNetwork() { ENSURE(ports_.empty()); }

runtime::Task<std::unique_ptr<runtime::Stream>> RenewingNetwork::connect(runtime::Address address, Tls tls) {
    return under_.connect(std::move(address), current(tls));
}

Result<std::unique_ptr<runtime::Listener>> RenewingNetwork::listen(runtime::Address address, Tls tls) {
    LET(auto listener, under_.listen(std::move(address), current(tls)));
    return std::make_unique<Port>(*this, std::move(listener), std::move(tls));
}

void RenewingNetwork::renew(const Tls& original, Tls fresh) {
    ENSURE(original != nullptr);
    ENSURE(fresh != nullptr);
    for (Port* port : ports_) port->renew(original, fresh);
    successors_[original] = std::move(fresh);
}

RenewingNetwork::Tls RenewingNetwork::current(const Tls& original) const {
    const auto place = successors_.find(original);
    return place == successors_.end() ? original : place->second;
}

}  // namespace polis::node
