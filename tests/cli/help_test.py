"""Tests of help, manual page and completions as people get them."""
import os
import subprocess
import unittest

import world

PAGE = world.ROOT / 'docs/polis.1'


class Help(unittest.TestCase):
    """All is made from one table."""

    def test_checked_in_manual_page_is_current(self):
        self.assertEqual(world.polis('help', '--man').stdout, PAGE.read_text(), 'docs/polis.1 is old: polis help --man > docs/polis.1')

    def test_every_command_of_help_has_help(self):
        commands = [line.split()[0] for line in world.polis('help').stdout.split('Subcommands:')[1].splitlines() if line.strip()]
        self.assertGreater(len(commands), 10)
        for command in commands:
            done = world.polis('help', command)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(done.stdout, world.polis(command, '--help').stdout)


class BashCompletion(unittest.TestCase):
    """The script, run by bash as bash runs it when Tab is pressed."""

    def complete(self, *words):
        """What it offers for the last word."""
        script = world.polis('completion', 'bash').stdout + '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _polis; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(['bash', '-c', script, 'bash', 'polis', *words], capture_output=True, text=True, check=True,
                              env={'PATH': os.environ['PATH']})
        self.assertEqual(done.stderr, '')
        return [word for word in done.stdout.split('\n') if word]

    def test_commands(self):
        self.assertEqual(self.complete('kv', ''), ['get', 'put', 'del', *self.complete('kv', '-')])
        self.assertEqual(self.complete('do'), ['doctor'])
        self.assertEqual(self.complete('member', 'pro'), ['promote'])

    def test_options_of_the_command_and_global_ones(self):
        self.assertEqual(self.complete('kv', 'get', '--pre'), ['--prefix'])
        self.assertEqual(self.complete('kv', 'get', '--endp'), ['--endpoints'])
        self.assertEqual(self.complete('start', '--node.na'), ['--node.name'])

    def test_value_of_an_option_is_no_command(self):
        self.assertEqual(self.complete('--endpoints', 'member', 'kv', 'g'), ['get'])
        self.assertEqual(self.complete('--cacert', ''), [])

    def test_other_shells_get_theirs(self):
        self.assertTrue(world.polis('completion', 'zsh').stdout.startswith('#compdef polis\n'))
        self.assertIn("complete -c polis -n '__polis_at \\'polis kv\\'' -f -a 'get'", world.polis('completion', 'fish').stdout)


if __name__ == '__main__':
    unittest.main()
