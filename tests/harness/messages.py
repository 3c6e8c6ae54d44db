"""etcd's protocol for tests: message classes made by protoc from src/codec/etcd at run time, and calls by method name."""
import importlib
import pathlib
import subprocess
import sys

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTOS = ('kv', 'auth', 'rpc', 'lock', 'election')
GENERATED = ROOT / 'build' / 'python'


def generate():
    """Runs protoc if a .proto file is newer than what it made; returns the modules by name."""
    sources = [ROOT / 'src/codec/etcd' / f'{name}.proto' for name in PROTOS]
    made = [GENERATED / 'codec/etcd' / f'{name}_pb2.py' for name in PROTOS]
    newest = max(source.stat().st_mtime for source in sources)
    if not all(path.exists() and path.stat().st_mtime >= newest for path in made):
        GENERATED.mkdir(parents=True, exist_ok=True)
        subprocess.run(['protoc', f'-I{ROOT}/src', f'--python_out={GENERATED}', *map(str, sources)], check=True)
    if str(GENERATED) not in sys.path:
        sys.path.insert(0, str(GENERATED))
    return {name: importlib.import_module(f'codec.etcd.{name}_pb2') for name in PROTOS}


MODULES = generate()
pb = MODULES['rpc']  # etcdserverpb
kv = MODULES['kv']  # mvccpb
lock_pb = MODULES['lock']
election_pb = MODULES['election']
auth_pb = MODULES['auth']


def methods():
    """{'KV/Range': method descriptor with its full path} of all services."""
    found = {}
    for name in ('rpc', 'lock', 'election'):
        module = MODULES[name]
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                found[f'{service.name}/{method.name}'] = (f'/{service.full_name}/{method.name}', method)
    return found


METHODS = methods()
# python3-protobuf has no streaming flags in its descriptors.
BIDIRECTIONAL = ('Watch/Watch', 'Lease/LeaseKeepAlive')
SERVER_STREAM = ('Maintenance/Snapshot', 'Election/Observe', 'KV/RangeStream')


def class_of(descriptor):
    """The Python class of a message descriptor."""
    return getattr(MODULES[descriptor.file.name.rsplit('/', 1)[1].removesuffix('.proto')], descriptor.name)


def request_class(method):
    """The class of a method's request: request_class('KV/Range') is RangeRequest."""
    return class_of(METHODS[method][1].input_type)


class Connection:
    """One gRPC channel with a callable for each method, as raw as the protocol is."""

    def __init__(self, target, credentials=None, options=()):
        options = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1),
                   ('grpc.enable_retries', 0), ('grpc.use_local_subchannel_pool', 1), *options]
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials else
                        grpc.insecure_channel(target, options))
        self.calls = {}

    def method(self, name):
        """The callable of a method such as 'KV/Put'; streams take an iterator of requests."""
        if name not in self.calls:
            path, method = METHODS[name]
            make = (self.channel.stream_stream if name in BIDIRECTIONAL else
                    self.channel.unary_stream if name in SERVER_STREAM else self.channel.unary_unary)
            self.calls[name] = make(path, request_serializer=lambda message: message.SerializeToString(),
                                    response_deserializer=class_of(method.output_type).FromString)
        return self.calls[name]

    def call(self, name, /, timeout=10, metadata=None, **fields):
        """One unary call with the request's fields by name."""
        return self.method(name)(request_class(name)(**fields), timeout=timeout, metadata=metadata)

    def close(self):
        """Ends all calls."""
        self.channel.close()
