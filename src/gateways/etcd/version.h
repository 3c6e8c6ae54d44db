// Which etcd this gateway is to its clients. etcdctl and Kubernetes decide by these what they may ask for.
#pragma once

#include <string_view>

namespace polis::gateways {

/// The newest 3.6 patch release (etcd CHANGELOG-3.6.md, 2026-07-23) whose wire behaviour is reproduced here.
constexpr std::string_view etcd_server_version = "3.6.14";
/// What etcd calls the cluster's version: major.minor with a zero patch; the storage schema's is the same.
constexpr std::string_view etcd_cluster_version = "3.6.0";
constexpr std::string_view etcd_storage_version = "3.6.0";
/// As Downgrade answers it: major.minor only.
constexpr std::string_view etcd_cluster_version_short = "3.6";

}  // namespace polis::gateways
