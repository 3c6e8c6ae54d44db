// Tests of exit codes: what an answer says about whether something was done.
#include "cli/outcome.h"

#include <gtest/gtest.h>

namespace polis::cli {
namespace {

using rpc::Status;
using rpc::StatusCode;

ExitCode write_that_reached(StatusCode code, const std::string& text = "x") {
    return exit_code_of(Status{code, text, {}}, Effect::Writes, Reached::Server);
}

TEST(ExitCodeOf, IsOkForOkOnly) {
    EXPECT_EQ(exit_code_of(Status{}, Effect::Writes, Reached::Server), ExitCode::Ok);
    for (size_t code = 1; code < rpc::status_code_count; ++code) {
        EXPECT_NE(write_that_reached(static_cast<StatusCode>(code)), ExitCode::Ok) << code;
    }
}

TEST(ExitCodeOf, CallsAWriteUnknownThatReachedAServerAndWasNotRefused) {
    EXPECT_EQ(write_that_reached(StatusCode::Unavailable, "etcdserver: request timed out"), ExitCode::UnknownOutcome);
    EXPECT_EQ(write_that_reached(StatusCode::DeadlineExceeded), ExitCode::UnknownOutcome);
    EXPECT_EQ(write_that_reached(StatusCode::Unknown), ExitCode::UnknownOutcome);
}

TEST(ExitCodeOf, CallsAWriteUnavailableThatReachedNobodyOrWasPlainlyNotDone) {
    EXPECT_EQ(exit_code_of(Status{StatusCode::Unavailable, "connection refused", {}}, Effect::Writes, Reached::Nobody),
              ExitCode::Unavailable);
    EXPECT_EQ(write_that_reached(StatusCode::Unavailable, "etcdserver: no leader"), ExitCode::Unavailable);
    EXPECT_EQ(write_that_reached(StatusCode::Unknown, "etcdserver: too many requests"), ExitCode::Failed);
}

TEST(ExitCodeOf, NeverCallsAReadUnknown) {
    for (size_t code = 1; code < rpc::status_code_count; ++code) {
        const Status status{static_cast<StatusCode>(code), "etcdserver: request timed out", {}};
        EXPECT_NE(exit_code_of(status, Effect::Reads, Reached::Server), ExitCode::UnknownOutcome) << code;
    }
    EXPECT_EQ(exit_code_of(Status{StatusCode::DeadlineExceeded, "x", {}}, Effect::Reads, Reached::Server),
              ExitCode::Unavailable);
}

TEST(ExitCodeOf, CallsRefusalsFailed) {
    for (const StatusCode code : {StatusCode::InvalidArgument, StatusCode::NotFound, StatusCode::PermissionDenied,
                                  StatusCode::ResourceExhausted, StatusCode::FailedPrecondition, StatusCode::OutOfRange,
                                  StatusCode::Unimplemented, StatusCode::DataLoss, StatusCode::Unauthenticated}) {
        EXPECT_EQ(write_that_reached(code), ExitCode::Failed) << rpc::name_of(code);
    }
}

TEST(ExitCodeOf, FollowsAnErrorsCode) {
    EXPECT_EQ(exit_code_of(Error{Code::Invalid, ""}), ExitCode::Usage);
    EXPECT_EQ(exit_code_of(Error{Code::Unavailable, ""}), ExitCode::Unavailable);
    EXPECT_EQ(exit_code_of(Error{Code::Timeout, ""}), ExitCode::Unavailable);
    EXPECT_EQ(exit_code_of(Error{Code::Unknown, ""}), ExitCode::UnknownOutcome);
    EXPECT_EQ(exit_code_of(Error{Code::Corrupt, ""}), ExitCode::Failed);
    EXPECT_EQ(exit_code_of(Error{Code::Exists, ""}), ExitCode::Failed);
}

}  // namespace
}  // namespace polis::cli
