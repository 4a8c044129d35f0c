"""Tests of `hintless` itself: hint_probe sees a kernel that ignores hints, and counted failures are exact.

usage: hintless_test.py HINTLESS HINT_PROBE
"""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

HINTLESS = ""
PROBE = ""


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def probe(*options, mode="self"):
    status, output, errors = run(HINTLESS, *options, "--", PROBE, mode)
    assert status == 0, (status, output, errors)
    return dict(line.split(" ", 1) for line in output.splitlines())


class Hints(unittest.TestCase):
    def test_without_hintless_the_kernel_grants_the_hint(self):
        # Without this the other tests would prove nothing.
        status, output, _ = run(PROBE)
        self.assertEqual(status, 0)
        self.assertIn("hint granted", output)

    def test_hint_is_ignored_and_fixed_is_obeyed(self):
        for mode in ("self", "fork", "thread"):
            with self.subTest(mode=mode):
                seen = probe(mode=mode)
                self.assertEqual(seen["hint"], "elsewhere")
                self.assertEqual(seen["fixed"], "granted")
                self.assertEqual(seen["noreplace-free"], "granted")
                self.assertEqual(seen["noreplace-taken"], "EEXIST")

    def test_hint_is_ignored_after_exec_by_a_shell(self):
        _, output, _ = run(HINTLESS, "--", "sh", "-c", f"'{PROBE}' fork; true")
        self.assertIn("hint elsewhere", output)

    def test_old_kernel_takes_noreplace_for_a_hint(self):
        seen = probe("--old-kernel")
        self.assertEqual(seen["noreplace-free"], "elsewhere")
        self.assertEqual(seen["noreplace-taken"], "elsewhere")
        seen = probe("--old-kernel", "--keep-hints")
        self.assertEqual(seen["hint"], "granted")
        self.assertEqual(seen["noreplace-free"], "granted")
        self.assertEqual(seen["noreplace-taken"], "elsewhere")


class Failures(unittest.TestCase):
    ORDER = ("hint", "noreplace-free", "fixed", "noreplace-taken")

    def failing(self, rule):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            seen = probe("--keep-hints", "--after-start", "--fail", rule, "--log", log)
            with open(log) as lines:
                return seen, lines.read()

    def test_exactly_the_nth_call_fails(self):
        # Standard output may need memory through a call of its own, so the order among the probe's calls is compared.
        first_of_probe = {}
        for nth in range(1, 7):
            seen, log = self.failing(f"mmap:{nth}:EPERM")
            failed = [name for name in self.ORDER if seen[name] == "Operation not permitted"]
            self.assertLessEqual(len(failed), 1)
            if failed:
                first_of_probe[failed[0]] = nth
                self.assertTrue(log.endswith("failed 1\n"), log)
        self.assertEqual(sorted(first_of_probe, key=self.ORDER.index), list(self.ORDER))
        self.assertEqual(sorted(first_of_probe.values()), list(first_of_probe[name] for name in self.ORDER))

    def test_forever_fails_all_later_calls(self):
        seen, _ = self.failing("mmap:1:ENOMEM:forever")
        self.assertEqual(set(seen.values()), {"Cannot allocate memory"})

    def test_call_that_is_never_reached_is_counted_as_not_failed(self):
        seen, log = self.failing("mmap:1000")
        self.assertEqual(seen["hint"], "granted")
        self.assertTrue(log.startswith("mmap calls "), log)
        self.assertTrue(log.endswith(" failed 0\n"), log)


class Tool(unittest.TestCase):
    def test_exit_status_and_output_are_the_commands(self):
        self.assertEqual(run(HINTLESS, "--", "sh", "-c", "echo out; echo err >&2; exit 7"), (7, "out\n", "err\n"))
        status, _, _ = run(HINTLESS, "--", "sh", "-c", "kill -SEGV $$")
        self.assertEqual(status, -signal.SIGSEGV)

    def test_environment_is_the_commands_only(self):
        self.assertEqual(run(HINTLESS, "--env", "WORD=a b", "--", "sh", "-c", 'echo "$WORD"'), (0, "a b\n", ""))
        self.assertEqual(run("env", "WORD=c", HINTLESS, "--", "sh", "-c", 'echo "$WORD"'), (0, "c\n", ""))

    def test_signal_is_passed_on(self):
        with subprocess.Popen([HINTLESS, "--", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"],
                              stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.terminate()
            self.assertEqual(process.wait(timeout=30), 9)

    def test_stopped_process_stays_stopped_until_continued(self):
        script = "(sleep 0.2; kill -CONT $$) & kill -STOP $$; echo continued; wait"
        self.assertEqual(run(HINTLESS, "--", "sh", "-c", script), (0, "continued\n", ""))

    def test_mistakes_are_named(self):
        for arguments, part in ((["--fail", "foo:1", "--", "true"], "unknown system call 'foo'"),
                                (["--fail", "mmap", "--", "true"], "number of the call is missing"),
                                (["--fail", "mmap:0", "--", "true"], "'0' is not a number from 1 up"),
                                (["--fail", "mmap:1:EFOO", "--", "true"], "'EFOO' is neither"),
                                (["--fail"], "--fail needs a value"),
                                (["--what", "--", "true"], "unknown option '--what'"),
                                ([], "no command given")):
            status, output, errors = run(HINTLESS, *arguments)
            self.assertEqual((status, output), (125, ""), arguments)
            self.assertIn(part, errors)
            self.assertEqual(errors.count("\n"), 1)
        self.assertEqual(run(HINTLESS, "--", "no-such-program")[0], 127)

    def test_help_names_every_option(self):
        status, output, _ = run(HINTLESS, "--help")
        self.assertEqual(status, 0)
        for option in ("--keep-hints", "--old-kernel", "--fail", "--after-start", "--log", "--env"):
            self.assertIn(option, output)


if __name__ == "__main__":
    HINTLESS, PROBE = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1], verbosity=2)
