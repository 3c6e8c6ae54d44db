"""One server process of a test: how it is signalled and ended, whatever it is."""
import signal
import subprocess

STOP_SECONDS_MAX = 20


class Process:
    """What all nodes of tests have in common. A subclass starts it: sets `process`, and writes its output to `log`."""

    def __init__(self, name, log):
        self.name, self.log, self.process = name, log, None

    @property
    def is_running(self):
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        """Sends a signal to the process."""
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, and waits until the process is gone."""
        if self.is_running:
            self.process.kill()
        if self.process:
            self.process.wait()

    def stop(self):
        """SIGTERM, and SIGKILL if that does not help in time. Returns the exit status."""
        if self.is_running:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def log_tail(self, lines=30):
        """The end of its log."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:]) if self.log.exists() else ''
