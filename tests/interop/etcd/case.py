"""What a case of the battery can do: call a server in every way a client can, with each answer going into a transcript."""
import base64
import json
import os
import queue
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
from messages import BIDIRECTIONAL, Connection, pb, request_class
from transcript import Names, Revision, line

CASES = []
SECONDS_MAX = 20


def case(cluster='shared', instead_of_oracle=None, **options):
    """Registers a function as a case. cluster: `shared` (three nodes, emptied before each case), or the name of a kind
    that is started for this case alone (see clusters.py), with options for it. instead_of_oracle: the transcript to
    expect, where the oracle cannot be asked; the case says why."""
    def register(function):
        function.cluster, function.options, function.instead_of_oracle = cluster, options, instead_of_oracle
        CASES.append(function)
        return function
    return register


def shown(argument):
    """An argument as the transcript writes it."""
    return getattr(argument, 'text', None) or (argument.decode('latin-1') if isinstance(argument, bytes) else str(argument))


class Case:
    """One run of one case against one cluster."""

    def __init__(self, cluster, names=None):
        self.cluster, self.names = cluster, names or Names(cluster)
        self.lines, self.connections, self.background = [], {}, []
        self.user, self.client = None, 'client'

    # ---- the transcript ----

    def note(self, text):
        """Puts a line into the transcript."""
        self.lines += [self.names.text(part) for part in str(text).splitlines()]

    def note_value(self, label, value):
        """Puts a labelled, normalised value into the transcript."""
        self.lines.append(f'{label} {line(value)}')

    def rev(self, distance):
        """A revision to ask for, counted from the case's start."""
        return Revision(self.names.base, distance)

    # ---- etcdctl ----

    def ctl_command(self, words, endpoints=None):
        """etcdctl with its connection flags."""
        command = ['etcdctl', '--endpoints=' + ','.join(endpoints or self.cluster.endpoints[:1]), '--dial-timeout=5s',
                   '--command-timeout=10s']
        if self.cluster.tls:
            command += self.cluster.tls.client_flags(self.client)
        if self.user:
            command.append(f'--user={self.user}')
        return command + [word.decode() if isinstance(word, bytes) else str(int(word)) if isinstance(word, Revision)
                          else str(word) for word in words]

    def ctl(self, *words, stdin=None, node=None, record=True, sort=False, endpoints=None, **variables):
        """Runs etcdctl; its output, errors and exit status go into the transcript. Returns its standard output.

        node: the number of the one node to ask (the first); endpoints: ask these instead; sort: the output's lines have
        no order; variables: environment.
        """
        endpoints = endpoints or [self.cluster.endpoints[(node or 1) - 1]]
        try:
            done = subprocess.run(self.ctl_command(words, endpoints), input=stdin, capture_output=True, text=True,
                                  timeout=SECONDS_MAX, cwd=self.cluster.folder, errors='surrogateescape',
                                  env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3', **variables})
        except subprocess.TimeoutExpired:
            self.lines.append(f'$ etcdctl {" ".join(map(shown, words))}: no end after {SECONDS_MAX} s')
            return ''
        if record:
            self.note('$ etcdctl ' + ' '.join(map(shown, words)))
            self.note_output(done, sort)
        return done.stdout

    def note_output(self, done, sort=False):
        """What a finished etcdctl printed. Log lines of its library are left out: they name its source lines and times."""
        found = []
        for text in done.stdout.splitlines():
            try:
                value = json.loads(text) if text.startswith(('{', '[')) else None
            except ValueError:
                value = None
            found.append('  ' + (line(self.names.tree(value)) if value is not None else self.names.text(text)))
        for text in done.stderr.splitlines():
            if text.startswith('goroutine '):
                break  # The client's own panic; its stack has addresses.
            if not text.startswith('{') and not re.match(r'\d{4}[-/]\d\d', text):
                found.append('  ! ' + self.names.text(text))
        self.lines += sorted(found) if sort else found
        if done.returncode:
            self.lines.append(f'  exit {done.returncode}')

    def start_ctl(self, *words, stdin=None, **variables):
        """Starts etcdctl and leaves it running; see Background."""
        started = Background(self, words, stdin, variables)
        self.background.append(started)
        return started

    # ---- gRPC ----

    def connection(self, node=1):
        """A raw connection to one node."""
        if node not in self.connections:
            credentials = None
            if self.cluster.tls:
                certificate, key = self.cluster.tls.issue(self.client)
                credentials = grpc.ssl_channel_credentials(self.cluster.tls.certificate.read_bytes(), key.read_bytes(),
                                                           certificate.read_bytes())
            self.connections[node] = Connection(self.cluster.endpoints[node - 1], credentials)
        return self.connections[node]

    def call(self, method, /, node=1, token=None, record=True, **fields):
        """One unary call; the answer or the error goes into the transcript. Returns the answer, or None."""
        request = request_class(method)(**fields)
        label = f'{method} {line(self.names.message(request))} ->'
        metadata = [('token', token)] if token else None
        try:
            answer = self.connection(node).method(method)(request, timeout=SECONDS_MAX, metadata=metadata)
        except grpc.RpcError as error:
            if record:
                self.lines.append(f'{label} {error.code().name}: {self.names.text(error.details())}')
            return None
        if record:
            self.note_value(label, self.names.message(answer))
        return answer

    def stream(self, method, *requests, answers, node=1, token=None):
        """A stream: sends the requests (dicts of fields), takes so many answers, and cancels it."""
        stream = Stream(self, method, node, token)
        for request in requests:
            stream.send(**request)
        found = stream.take(answers)
        stream.close()
        return found

    def open_stream(self, method, node=1, token=None):
        """A stream to send to and take from step by step."""
        stream = Stream(self, method, node, token)
        self.background.append(stream)
        return stream

    def alone(self, key, value=b'', **fields):
        """A put that is not recorded: it only prepares."""
        return self.connection(1).call('KV/Put', key=key, value=value, **fields)

    # ---- waiting ----

    def until(self, condition):
        """Waits until condition() is true; AssertionError if it is not within SECONDS_MAX."""
        deadline = time.monotonic() + SECONDS_MAX
        while not condition():
            assert time.monotonic() < deadline, f'what the case waits for did not come within {SECONDS_MAX} s'
            time.sleep(0.05)

    def is_listening(self, node):
        """Whether a node takes connections. Ask this before the first call to a node that was just started: a gRPC channel that was
        refused waits longer and longer before it tries again."""
        host, port = self.cluster.endpoints[node - 1].rsplit(':', 1)
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
        return True

    # ---- HTTP ----

    def http(self, path, body=None, node=1, headers=None, method=None, record=True):
        """A request as curl would make it; bytes in `body` are sent as they are, anything else as JSON."""
        octets = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.cluster.client_url(self.cluster.nodes[node - 1]) + path, octets,
                                         headers or {}, method=method)
        context = self.cluster.tls.client_context(self.client) if self.cluster.tls else None
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_MAX, context=context) as answer:
                status, kind, text = answer.status, answer.headers.get('content-type'), answer.read().decode()
        except urllib.error.HTTPError as error:
            status, kind, text = error.code, error.headers.get('content-type'), error.read().decode()
        except OSError as error:
            status, kind, text = 0, '', type(error).__name__
        if record:
            self.lines.append(f'HTTP {path} {self.names.text(json_text(body))} -> {status} {kind}')
            self.note_http(text)
        return status, text

    def note_http(self, text):
        """A body: JSON a line, or text."""
        for part in text.splitlines():
            try:
                self.lines.append('  ' + line(self.names.tree(json.loads(part))))
            except ValueError:
                self.lines.append('  ' + self.names.text(part))

    def close(self):
        """Ends whatever the case has left running."""
        for thing in self.background:
            thing.close()
        for connection in self.connections.values():
            connection.close()


def json_text(body):
    """A request body for the transcript."""
    return body.decode('latin-1') if isinstance(body, bytes) else json.dumps(body) if body is not None else ''


def b64(text):
    """base64 for JSON bodies."""
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Background:
    """An etcdctl that runs on, such as a watch."""

    def __init__(self, owner, words, stdin, variables):
        self.owner, self.words, self.lines = owner, words, []
        self.process = subprocess.Popen(owner.ctl_command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL, cwd=owner.cluster.folder, errors='surrogateescape',
                                        env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3', **variables})
        self.arrived = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if stdin:
            self.type(stdin)

    def read(self):
        """Collects lines as they come."""
        for text in self.process.stdout:
            with self.arrived:
                self.lines.append(text.rstrip('\n'))
                self.arrived.notify_all()

    def type(self, text):
        """Writes to its standard input."""
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def expect(self, count, seconds=10):
        """Waits for so many lines in all; returns them."""
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.lines) >= count, seconds)
            return list(self.lines)

    def finish(self, count, seconds=10, wait=False):
        """Waits for so many lines, ends it (or lets it end by itself), and records what it printed. One that was refused prints more
        than was waited for, and ends: it is given a moment to."""
        self.expect(count, seconds)
        try:
            self.process.wait(seconds if wait else 0.5)
        except subprocess.TimeoutExpired:
            if wait:
                self.owner.lines.append(f'  did not end within {seconds} s')
        self.close()
        self.owner.note('$ etcdctl ' + ' '.join(map(shown, self.words)))
        for text in self.lines:
            try:
                value = json.loads(text) if text.startswith('{') else None
            except ValueError:
                value = None
            self.owner.lines.append('  ' + (line(self.owner.names.tree(value)) if value else self.owner.names.text(text)))
        return self.lines

    def close(self):
        """Ends it; all that it printed has been read then."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()


class Stream:
    """A gRPC stream whose answers go into the transcript as they are taken."""

    def __init__(self, owner, method, node, token):
        self.owner, self.method = owner, method
        self.requests, self.ready, self.ended = [], threading.Condition(), False
        self.metadata = [('token', token)] if token else None
        self.callable = owner.connection(node).method(method)
        self.bidirectional = method in BIDIRECTIONAL
        self.arrived, self.answers = queue.Queue(), None
        if self.bidirectional:
            self.receive(self.outgoing())

    def receive(self, requests):
        """Makes the call and collects its answers as they come; the last item is why it ended."""
        self.answers = self.callable(requests, timeout=60, metadata=self.metadata)

        def read():
            try:
                for answer in self.answers:
                    self.arrived.put(answer)
                self.arrived.put('end')
            except grpc.RpcError as error:
                self.arrived.put(f'{error.code().name}: {self.owner.names.text(error.details())}')

        threading.Thread(target=read, daemon=True).start()

    def outgoing(self):
        """The requests, as they are sent."""
        sent = 0
        while True:
            with self.ready:
                self.ready.wait_for(lambda: len(self.requests) > sent or self.ended)
                if len(self.requests) == sent:
                    return
                request = self.requests[sent]
            sent += 1
            yield request

    def send(self, **fields):
        """Sends a request; recorded too."""
        request = request_class(self.method)(**fields)
        self.owner.note_value(f'{self.method} <-', self.owner.names.message(request))
        if not self.bidirectional:
            self.receive(request)
            return
        with self.ready:
            self.requests.append(request)
            self.ready.notify_all()

    def take(self, count, record=True, seconds=SECONDS_MAX):
        """Takes so many answers; an error, the end of the stream or silence is recorded and ends the taking."""
        found = []
        for _ in range(count):
            try:
                answer = self.arrived.get(timeout=seconds)
            except queue.Empty:
                answer = f'nothing within {seconds} s'
            if isinstance(answer, str):
                self.owner.lines.append(f'{self.method} -> {answer}')
                break
            found.append(answer)
            if record:
                self.owner.note_value(f'{self.method} ->', self.owner.names.message(answer))
        return found

    def collect(self, events, quiet=1.0):
        """All answers: as many as it takes to have so many events, then until none has come for `quiet` seconds; not recorded."""
        found = []
        while True:
            enough = sum(len(answer.events) for answer in found) >= events
            try:
                answer = self.arrived.get(timeout=quiet if enough else SECONDS_MAX)
            except queue.Empty:
                return found
            if isinstance(answer, str):
                self.owner.lines.append(f'{self.method} -> {answer}')
                return found
            found.append(answer)

    def finish_sending(self):
        """No more requests (half-closes the stream)."""
        with self.ready:
            self.ended = True
            self.ready.notify_all()

    def close(self):
        """Cancels the stream."""
        self.finish_sending()
        if self.answers is not None:
            self.answers.cancel()


__all__ = ['Case', 'CASES', 'case', 'b64', 'pb']
