// Server reflection, so that grpcurl and its like can call this node without its .proto files.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <vector>

#include "gateways/etcd/backend.h"
#include "gateways/etcd/reflection_v1.pb.h"
#include "gateways/etcd/reflection_v1alpha.pb.h"
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

namespace google_pb = ::google::protobuf;
using runtime::Task;

/// Adds `file` and what it imports, each file once, the asked-for first.
template <class Response>
void add_with_imports(const google_pb::FileDescriptor& file, Response& response,
                      std::set<const google_pb::FileDescriptor*>& added) {
    if (!added.insert(&file).second) return;
    google_pb::FileDescriptorProto described;
    file.CopyTo(&described);
    response.add_file_descriptor_proto(described.SerializeAsString());
    for (int i = 0; i < file.dependency_count(); ++i) add_with_imports(*file.dependency(i), response, added);
}

template <class Response>
void answer_file(const google_pb::FileDescriptor* file, const std::string& asked, Response& response) {
    if (!file) {
        response.mutable_error_response()->set_error_code(static_cast<int32_t>(rpc::StatusCode::NotFound));
        response.mutable_error_response()->set_error_message("not found: " + asked);
        return;
    }
    std::set<const google_pb::FileDescriptor*> added;
    add_with_imports(*file, *response.mutable_file_descriptor_response(), added);
}

/// The services of all registered methods, in order, each once.
std::set<std::string> services_of(const rpc::Routes& routes) {
    std::set<std::string> services;
    for (const std::string& method : routes.methods()) {
        services.insert(method.substr(1, method.find('/', 1) - 1));
    }
    return services;
}

template <class Request, class Response>
Response reflect(const rpc::Routes& routes, const Request& request) {
    const google_pb::DescriptorPool& pool = *google_pb::DescriptorPool::generated_pool();
    Response response;
    response.set_valid_host(request.host());
    *response.mutable_original_request() = request;
    switch (request.message_request_case()) {
        case Request::kFileByFilename:
            answer_file(pool.FindFileByName(request.file_by_filename()), request.file_by_filename(), response);
            break;
        case Request::kFileContainingSymbol:
            answer_file(pool.FindFileContainingSymbol(request.file_containing_symbol()),
                        request.file_containing_symbol(), response);
            break;
        case Request::kListServices:
            for (const std::string& name : services_of(routes)) {
                response.mutable_list_services_response()->add_service()->set_name(name);
            }
            break;
        case Request::kAllExtensionNumbersOfType:
            // proto3 messages have no extensions.
            if (pool.FindMessageTypeByName(request.all_extension_numbers_of_type())) {
                response.mutable_all_extension_numbers_response()->set_base_type_name(
                    request.all_extension_numbers_of_type());
                break;
            }
            answer_file(nullptr, request.all_extension_numbers_of_type(), response);
            break;
        case Request::kFileContainingExtension:
            answer_file(nullptr, request.file_containing_extension().containing_type(), response);
            break;
        default:
            response.mutable_error_response()->set_error_code(static_cast<int32_t>(rpc::StatusCode::InvalidArgument));
            response.mutable_error_response()->set_error_message("no question in the request");
    }
    return response;
}

template <class Request, class Response>
Task<rpc::Status> serve_reflection(const rpc::Routes& routes, rpc::Call& call) {
    for (;;) {
        CO_LET(const std::optional<Bytes> octets, co_await call.read());
        if (!octets) co_return rpc::Status();
        Request request;
        if (!decode(*octets, request)) co_return status_of(Complaint::UndecodableRequest);
        CO_TRY(co_await call.write(encode(reflect<Request, Response>(routes, request))));
    }
}

}  // namespace

void register_reflection(rpc::Routes& routes) {
    namespace v1 = ::grpc::reflection::v1;
    namespace v1alpha = ::grpc::reflection::v1alpha;
    routes.stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", [&routes](rpc::Call& call) {
        return serve_reflection<v1::ServerReflectionRequest, v1::ServerReflectionResponse>(routes, call);
    });
    routes.stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", [&routes](rpc::Call& call) {
        return serve_reflection<v1alpha::ServerReflectionRequest, v1alpha::ServerReflectionResponse>(routes, call);
    });
}

}  // namespace polis::gateways
