"""Cases: TLS towards clients and between members, with an authority of the test's own."""
import ssl
import subprocess

from case import b64, case


@case('tls')
def certificates(c):
    """etcdctl, gRPC and JSON with client certificates; refused without, and with a stranger's."""
    c.ctl('put', 'k', 'v')
    c.ctl('get', 'k', node=2)
    c.ctl('endpoint', 'health', '--cluster', sort=True)
    c.call('KV/Put', key=b'k', value=b'over gRPC')
    c.http('/v3/kv/range', {'key': b64('k')})
    c.http('/health')
    node = c.cluster.nodes[0]
    url = c.cluster.client_url(node)
    authority = c.cluster.tls
    certificate, key = authority.issue('client')
    from certificates import Authority
    stranger, stranger_key = Authority(c.cluster.folder / 'stranger', 'stranger').issue('client')
    for label, words in (('own', ['--cacert', authority.certificate, '--cert', certificate, '--key', key]),
                         ('none', ['--cacert', authority.certificate]),
                         ('stranger', ['--cacert', authority.certificate, '--cert', stranger, '--key', stranger_key]),
                         ('unverified server', ['--cert', certificate, '--key', key])):
        done = subprocess.run(['curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', *map(str, words), f'{url}/health'],
                              capture_output=True, text=True)
        c.note(f'curl {label}: {done.stdout}, connected: {done.returncode == 0}')
    done = subprocess.run(['curl', '-s', '-m', '5', f'http://{node.address}:2379/health'], capture_output=True, text=True)
    c.note(f'plain HTTP on the TLS port answers health: {"true" in done.stdout}')


@case('server_tls')
def server_only(c):
    """Clients without certificates where none are demanded; protocol versions."""
    authority, node = c.cluster.tls, c.cluster.nodes[0]
    c.ctl('put', 'k', 'v')
    done = subprocess.run(['curl', '-s', '-m', '5', '--cacert', str(authority.certificate), f'{c.cluster.client_url(node)}/health'],
                          capture_output=True, text=True)
    c.note_http(done.stdout)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=authority.certificate)
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(['h2'])
        import socket
        with socket.create_connection((node.address, 2379), 5) as plain:
            with context.wrap_socket(plain, server_hostname=node.address) as secured:
                c.note(f'{secured.version()} {secured.selected_alpn_protocol()}')


@case('tls')
def name_as_user(c):
    """With authentication on, a client certificate's name is a user of its own."""
    for words in (['user', 'add', 'root:pw'], ['role', 'add', 'root'], ['user', 'grant-role', 'root', 'root'],
                  ['user', 'add', 'alice:pw'], ['role', 'add', 'r'], ['role', 'grant-permission', 'r', 'readwrite', 'a'],
                  ['user', 'grant-role', 'alice', 'r'], ['auth', 'enable']):
        c.ctl(*words)
    for name in ('alice', 'root', 'nobody'):
        c.client = name
        c.ctl('put', 'a', f'by {name}')
        c.ctl('put', 'b', f'by {name}')
        c.ctl('get', 'a')
    c.client = 'nobody'
    c.user = 'alice:pw'
    c.ctl('get', 'a')
    c.ctl('get', 'b')
