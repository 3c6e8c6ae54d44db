"""Configures and builds the presets of CMakePresets.json."""
import json

from shell import BUILD, ROOT, Failure, Stopwatch, cores, run, say


def presets():
    """Names of the visible configure presets with their descriptions."""
    listed = json.loads((ROOT / 'CMakePresets.json').read_text())['configurePresets']
    return {preset['name']: preset.get('description', '') for preset in listed if not preset.get('hidden')}


def build(preset, targets=(), tests=True):
    """Builds `targets` (all, if none is named) of a preset in build/<preset>.

    tests: also make test programs buildable, which needs the package group `test`. A folder that was once configured
    with tests keeps them, so that `./x up` does not undo what `./x test` made.
    """
    if preset not in presets():
        raise Failure(f'no preset {preset!r}', 'There are: ' + ', '.join(presets()))
    cache = BUILD / preset / 'CMakeCache.txt'
    has_tests = cache.exists() and 'POLIS_TESTS:BOOL=ON' in cache.read_text()
    wants = 'ON' if tests or has_tests else 'OFF'
    watch = Stopwatch()
    run(['cmake', '--preset', preset, f'-DPOLIS_TESTS={wants}'], quiet=True,
        then=f'If the tree moved or compilers changed, remove build/{preset} and try again.')
    command = ['cmake', '--build', BUILD / preset, '--parallel', cores()]
    if targets:
        command += ['--target', *targets]
    run(command, then='The first error above is the one to look at.')
    say(f'Built {preset} in {watch}')


def polis(preset='release'):
    """Builds the server and returns its path."""
    build(preset, targets=['polis'], tests=False)
    return BUILD / preset / 'polis'
