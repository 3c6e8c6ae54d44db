"""What may not be written, each with what to write instead. The reasons stand in STYLE.md and docs/decisions."""
import fnmatch
import re

from lint.tree import files, is_test, lines, sources

# Cores, codecs and models are functions of their inputs: they run unchanged in the simulator, and one seed replays them.
PURE = ('src/consensus/*', 'src/codec/*', 'src/services/*/model*', 'src/services/*/*_table*',
        'src/services/*/mvcc*', 'src/services/*/txn*', 'src/services/*/range_scan*', 'src/services/*/key_hash*',
        'src/services/*/version*', 'src/services/*/interval*')
# Shells may use the runtime, and see the world only through it.
SHELLS = ('src/services/*', 'src/cluster/*', 'src/gateways/*')
IN_PURE = {
    r'#\s*include\s*<(thread|mutex|shared_mutex|condition_variable|future|stop_token)>': 'a core is one value on one reactor',
    r'#\s*include\s*<(iostream|fstream|filesystem)>|\b(fopen|fwrite|fputs|puts|f?printf)\s*\(':
        'return data; the shell does input and output',
    r'#\s*include\s*<(random|sys/[a-z]+\.h|netinet/[a-z]+\.h|arpa/inet\.h|unistd\.h|fcntl\.h|poll\.h)>':
        'chance and the world come in as inputs (base/random.h holds seeded draws)',
    r'_clock::now\s*\(|\b(time|clock|gettimeofday|clock_gettime)\s*\(\s*(NULL|nullptr|CLOCK|&)': 'take `now` from the input',
    r'\brandom_device\b|\brand\s*\(\s*\)|\bgetenv\s*\(': 'draw from the seed that the options carry',
    r'\b(thread_local)\b': 'a core has no global state',
}
NO_RUNTIME = {r'#\s*include\s*[<"](boost/|runtime/)': 'only shells touch the runtime'}
EVERYWHERE = {
    r'^\s*using\s+namespace\s+(?!(std::\w*literals|testing)\b)': 'name what you use',
    r'\bGTEST_' + r'SKIP\b|\bDISABLED' + r'_\w|EXPECT_TRUE\(true\)': 'a test runs and can fail, or it goes',
    r'\bstd::(endl|cout|cerr)\b': 'base/log.h for logs; std::printf in cli',
    r'#\s*include\s*<iostream>': '<ostream> for operator<<; base/log.h for logs',
    r'\bco_await\b[^;"]*[(,]\s*\{': 'a named variable: g++ 12 destroys braced temporaries of a co_await twice',
    r'\bassert\s*\(': 'ENSURE, which stays on in release',
    r'(?<!asm )\bvolatile\b(?! std::sig_atomic_t)': 'std::atomic',
    r'\bstd::(auto_ptr|bind)\b|\breinterpret_cast<[^>]*\bint\b': 'a lambda; std::bit_cast',
}
ELSEWHERE = {
    r'\b(std::)?(printf|putchar)\s*\(': (('src/cli/*',), 'base/log.h'),
    r'#\s*include\s*<sys/epoll': (('src/runtime/*',), 'epoll is named only in src/runtime'),
    r'#\s*include\s*<rocksdb/': (('src/storage/kv/*',), 'RocksDB is named only in src/storage/kv'),
    # The real gRPC client lives in real time: there is nothing else to wait on.
    r'\bthis_thread::sleep_|\busleep\s*\(': (('src/rpc/interop_test.cc',), 'a Timer of the runtime'),
    r'#\s*include\s*<nghttp2/': (('src/rpc/*',), 'nghttp2 is named only in src/rpc'),
}
# In any text file: how the tree is made is no part of the tree, and work left undone belongs in an issue.
WORDS = {
    r'\b(TO' + r'DO|FIX' + r'ME|XX' + r'X|HA' + r'CK)\b': 'finish it, or open an issue and say nothing here',
    r'/wor' + r'k/|/tmp' + r'/[bw]/|/home/[a-z]': 'a path of one machine',
    r'\b(deb\.deb' + r'ian\.org|pypi' + r'\.org|registry\.npm' + r'js|crates\.' + r'io|proxy\.gol' + r'ang|repo\.ma' + r'ven)\b':
        'package sources are the machine\'s business',
}
WORDS_EXEMPT = ('LICENSE', 'tests/corpus/*')


def matches(path, patterns):
    """Whether the path fits one of the shell patterns (* also crosses folders)."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def without_comment(line):
    """The code of a line."""
    return re.sub(r'//.*', '', line)


def scan(path, rules):
    """Lines of a C++ file that break a rule of {pattern: what to do instead}."""
    return [f'{path}:{number}: {match[0].strip()!r}: {instead}' for number, line in lines(path)
            for rule, instead in rules.items() if (match := re.search(rule, without_comment(line)))]


def check_pure():
    """The world, seen from folders that must not know it."""
    found = []
    for path in sources():
        if not is_test(path) and matches(path, PURE + SHELLS):
            found += scan(path, IN_PURE if matches(path, SHELLS) and not matches(path, PURE) else {**IN_PURE, **NO_RUNTIME})
    return found


def check_code():
    """Constructs that are banned in all C++, and libraries outside the folder that wraps them."""
    found = []
    for path in sources():
        if not path.startswith('src/'):
            continue
        found += scan(path, EVERYWHERE)
        found += scan(path, {rule: instead for rule, (homes, instead) in ELSEWHERE.items() if not matches(path, homes)})
    return found


def check_words():
    """Words that do not belong into any file."""
    return [f'{path}:{number}: {match[0]!r}: {instead}' for path in files() if not matches(path, WORDS_EXEMPT)
            for number, line in lines(path) for rule, instead in WORDS.items() if (match := re.search(rule, line))]
