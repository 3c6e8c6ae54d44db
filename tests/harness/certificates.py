"""A certificate authority of the tests' own, made with openssl."""
import pathlib
import ssl
import subprocess


def openssl(*words):
    """Runs openssl quietly."""
    subprocess.run(['openssl', *map(str, words)], check=True, capture_output=True)


class Authority:
    """Signs certificates for servers (by address) and clients (by common name), all in one folder."""

    def __init__(self, folder, name='test authority', client_cert_auth=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.client_cert_auth = client_cert_auth
        self.certificate, self.key = self.folder / 'ca.pem', self.folder / 'ca.key'
        if not self.certificate.exists():
            openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2,
                    '-subj', f'/CN={name}', '-keyout', self.key, '-out', self.certificate)

    def issue(self, name, addresses=('127.0.0.1',)):
        """(certificate, key) files for this common name and these addresses; made once."""
        certificate, key = self.folder / f'{name}.pem', self.folder / f'{name}.key'
        if not certificate.exists():
            request, extensions = self.folder / f'{name}.csr', self.folder / f'{name}.ext'
            names = ','.join(f'IP:{address}' for address in addresses) + ',DNS:localhost'
            extensions.write_text(f'subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n')
            openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={name}',
                    '-keyout', key, '-out', request)
            openssl('x509', '-req', '-in', request, '-CA', self.certificate, '-CAkey', self.key, '-CAcreateserial',
                    '-days', 2, '-extfile', extensions, '-out', certificate)
        return certificate, key

    def server_flags(self, address):
        """Flags of a node at this address, towards clients and other members."""
        certificate, key = self.issue(f'server-{address}', [address])
        flags = {'cert-file': certificate, 'key-file': key, 'peer-cert-file': certificate, 'peer-key-file': key,
                 'peer-trusted-ca-file': self.certificate, 'peer-client-cert-auth': 'true'}
        if self.client_cert_auth:  # Naming an authority is enough for etcd to demand certificates.
            flags.update({'trusted-ca-file': self.certificate, 'client-cert-auth': 'true'})
        return flags

    def client_flags(self, name='client'):
        """etcdctl's flags for a client of this name."""
        certificate, key = self.issue(name)
        return [f'--cacert={self.certificate}', f'--cert={certificate}', f'--key={key}']

    def client_context(self, name='client'):
        """The same for Python's standard library."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.load_cert_chain(*self.issue(name))
        return context
