"""Wall clocks that a test can set, one for each node: a library that is loaded before libc adds what a file says."""
import pathlib
import struct
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


class Clocks:
    """A file of an offset for each node, and the words before a command that let it read this clock."""

    def __init__(self, folder, count):
        self.shim = folder / 'shifted_clock.so'
        subprocess.run(['g++', '-shared', '-fPIC', '-O1', '-std=c++20', '-o', self.shim, HERE / 'shifted_clock.cc', '-ldl'], check=True)
        self.files = [folder / f'clock{number}' for number in range(1, count + 1)]
        for number in range(count):
            self.files[number].write_bytes(struct.pack('q', 0))
            self.set(number, 0)

    def wrapper(self, index):
        """Words before a command that give it the node's clock."""
        return ['env', f'LD_PRELOAD={self.shim}', f'SHIFTED_CLOCK={self.files[index]}']

    def set(self, index, seconds):
        """Sets a node's clock to now plus so many seconds; AssertionError if a program does not see that."""
        with open(self.files[index], 'r+b') as file:
            file.write(struct.pack('q', seconds))
        told = int(subprocess.run([*self.wrapper(index), 'date', '+%s'], capture_output=True, text=True, check=True).stdout)
        assert abs(told - time.time() - seconds) < 5, f'the clock says {told} and not {time.time() + seconds:.0f}'
