#include "gateways/etcd/errors.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace polis::gateways {
namespace {

using rpc::StatusCode;
using services::Refusal;

struct Expected {
    StatusCode code;
    std::string_view text;  // After "etcdserver: ".
};

// Typed from etcd's error list, not from the table under test.
TEST(ErrorTable, SaysOfEachRefusalWhatEtcdSays) {
    const std::map<Refusal, Expected> etcd = {
        {Refusal::EmptyKey, {StatusCode::InvalidArgument, "key is not provided"}},
        {Refusal::KeyNotFound, {StatusCode::InvalidArgument, "key not found"}},
        {Refusal::ValueProvided, {StatusCode::InvalidArgument, "value is provided"}},
        {Refusal::LeaseProvided, {StatusCode::InvalidArgument, "lease is provided"}},
        {Refusal::TooManyOperations, {StatusCode::InvalidArgument, "too many operations in txn request"}},
        {Refusal::DuplicateKey, {StatusCode::InvalidArgument, "duplicate key given in txn request"}},
        {Refusal::Compacted, {StatusCode::OutOfRange, "mvcc: required revision has been compacted"}},
        {Refusal::FutureRevision, {StatusCode::OutOfRange, "mvcc: required revision is a future revision"}},
        {Refusal::NoSpace, {StatusCode::ResourceExhausted, "mvcc: database space exceeded"}},
        {Refusal::Corrupt, {StatusCode::DataLoss, "corrupt cluster"}},
        {Refusal::RequestTooLarge, {StatusCode::InvalidArgument, "request is too large"}},
        {Refusal::InvalidSortOption, {StatusCode::InvalidArgument, "invalid sort option"}},
        {Refusal::LeaseNotFound, {StatusCode::NotFound, "requested lease not found"}},
        {Refusal::LeaseExists, {StatusCode::FailedPrecondition, "lease already exists"}},
        {Refusal::LeaseTtlTooLarge, {StatusCode::OutOfRange, "too large lease TTL"}},
        {Refusal::TooManyRequests, {StatusCode::ResourceExhausted, "too many requests"}},
        {Refusal::UserEmpty, {StatusCode::InvalidArgument, "user name is empty"}},
        {Refusal::UserExists, {StatusCode::FailedPrecondition, "user name already exists"}},
        {Refusal::UserNotFound, {StatusCode::FailedPrecondition, "user name not found"}},
        {Refusal::RoleEmpty, {StatusCode::InvalidArgument, "role name is empty"}},
        {Refusal::RoleExists, {StatusCode::FailedPrecondition, "role name already exists"}},
        {Refusal::RoleNotFound, {StatusCode::FailedPrecondition, "role name not found"}},
        {Refusal::RoleNotGranted, {StatusCode::FailedPrecondition, "role is not granted to the user"}},
        {Refusal::PermissionNotGiven, {StatusCode::InvalidArgument, "permission not given"}},
        {Refusal::PermissionNotGranted, {StatusCode::FailedPrecondition, "permission is not granted to the role"}},
        {Refusal::PermissionDenied, {StatusCode::PermissionDenied, "permission denied"}},
        {Refusal::RootUserMissing, {StatusCode::FailedPrecondition, "root user does not exist"}},
        {Refusal::RootRoleMissing, {StatusCode::FailedPrecondition, "root user does not have root role"}},
        {Refusal::AuthFailed, {StatusCode::InvalidArgument, "authentication failed, invalid user ID or password"}},
        {Refusal::AuthNotEnabled, {StatusCode::FailedPrecondition, "authentication is not enabled"}},
        {Refusal::InvalidAuthToken, {StatusCode::Unauthenticated, "invalid auth token"}},
        {Refusal::AuthOldRevision, {StatusCode::InvalidArgument, "revision of auth store is old"}},
        {Refusal::InvalidAuthManagement, {StatusCode::InvalidArgument, "invalid auth management"}},
        {Refusal::MemberNotFound, {StatusCode::NotFound, "member not found"}},
    };
    for (const auto& [refusal, expected] : etcd) {
        const rpc::Status status = status_of(refusal);
        EXPECT_EQ(status.code, expected.code) << expected.text;
        EXPECT_EQ(status.message, "etcdserver: " + std::string(expected.text));
    }
    EXPECT_EQ(status_of(Refusal::NoPasswordUser).message,
              "auth: authentication failed, password was given for no password user");
    EXPECT_EQ(status_of(Refusal::NoPasswordUser).code, StatusCode::Unknown);
    EXPECT_EQ(status_of(Refusal::RangeStreamUnsupported).code, StatusCode::Unimplemented);
}

TEST(ErrorTable, HasOneRowForEveryRefusalAndComplaint) {
    for (uint8_t i = 0; i <= static_cast<uint8_t>(Refusal::UserRateExceeded); ++i) {
        EXPECT_FALSE(status_of(static_cast<Refusal>(i)).message.empty()) << int{i};
    }
    for (uint8_t i = 0; i <= static_cast<uint8_t>(Complaint::HealthServiceUnknown); ++i) {
        EXPECT_FALSE(status_of(static_cast<Complaint>(i)).message.empty()) << int{i};
    }
    for (const ErrorRow& a : error_table()) {
        size_t same = 0;
        for (const ErrorRow& b : error_table()) same += a.cause == b.cause ? 1 : 0;
        EXPECT_EQ(same, 1u) << a.text;
        EXPECT_NE(a.code, StatusCode::Ok) << a.text;
    }
}

TEST(ErrorTable, SaysOfTheClusterWhatEtcdSays) {
    const auto text = [](Code code) { return status_of_error(Error{code, "inner"}).message; };
    EXPECT_EQ(text(Code::Unavailable), "etcdserver: no leader");
    EXPECT_EQ(text(Code::NotLeader), "etcdserver: not leader");
    EXPECT_EQ(text(Code::Stale), "etcdserver: leader changed");
    EXPECT_EQ(text(Code::Overloaded), "etcdserver: too many requests");
    EXPECT_EQ(status_of_error(Error{Code::Overloaded, ""}).code, StatusCode::ResourceExhausted);
    EXPECT_EQ(text(Code::NoSpace), "etcdserver: mvcc: database space exceeded");
    EXPECT_EQ(text(Code::Timeout), "etcdserver: request timed out");
    EXPECT_EQ(text(Code::Unknown), "etcdserver: request timed out, possibly due to previous leader failure");
    EXPECT_EQ(text(Code::Io), "etcdserver: request timed out, possibly due to connection lost");
    EXPECT_EQ(text(Code::Corrupt), "etcdserver: corrupt cluster");
    EXPECT_EQ(text(Code::Canceled), "etcdserver: request canceled");
    EXPECT_EQ(text(Code::Denied), "etcdserver: permission denied");
    EXPECT_EQ(text(Code::Invalid), "inner");
}

// A write whose outcome is open must never look like one that was refused.
TEST(ErrorTable, KeepsUnknownOutcomesApartFromRefusals) {
    EXPECT_EQ(status_of_error(Error{Code::Unknown, ""}).code, StatusCode::Unavailable);
    EXPECT_NE(status_of_error(Error{Code::Unknown, ""}).message, status_of_error(Error{Code::Unavailable, ""}).message);
}

TEST(HttpStatus, IsGrpcGateways) {
    const std::map<StatusCode, int> expected = {
        {StatusCode::Ok, 200},
        {StatusCode::Cancelled, 499},
        {StatusCode::Unknown, 500},
        {StatusCode::InvalidArgument, 400},
        {StatusCode::DeadlineExceeded, 504},
        {StatusCode::NotFound, 404},
        {StatusCode::AlreadyExists, 409},
        {StatusCode::PermissionDenied, 403},
        {StatusCode::ResourceExhausted, 429},
        {StatusCode::FailedPrecondition, 400},
        {StatusCode::Aborted, 409},
        {StatusCode::OutOfRange, 400},
        {StatusCode::Unimplemented, 501},
        {StatusCode::Internal, 500},
        {StatusCode::Unavailable, 503},
        {StatusCode::DataLoss, 500},
        {StatusCode::Unauthenticated, 401},
    };
    ASSERT_EQ(expected.size(), 17u);
    for (const auto& [code, http] : expected) EXPECT_EQ(http_status_of(code), http) << rpc::name_of(code);
}

}  // namespace
}  // namespace polis::gateways
