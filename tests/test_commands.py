"""The command line as a whole: help, examples, versions, old names, errors."""

import logging
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
import typer

import tfmem
from tests.helpers.commands import ROOT, tfmem_command, tfmem_process
from tfmem.aggregation import memory
from tfmem.aggregation.runners import beam_options
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import set_loudness
from tfmem.pipelines.cli import app, main
from tfmem.pipelines.cli.commands import PANELS
from tfmem.pipelines.cli.options import settings_of
from tfmem.pipelines.runner import ComponentError

COMMANDS = [name for names in PANELS.values() for name in names]
CLI = typer.main.get_command(app)


@pytest.fixture(autouse=True)
def usual_loudness():
    yield
    set_loudness(False, False)
    logging.getLogger("apache_beam").setLevel(logging.NOTSET)


@pytest.fixture
def called():
    """What a command line says on both streams, and its exit code."""

    def call(*words):
        ended = tfmem_command(*words, code=None)
        return ended.stdout, ended.stderr, ended.code

    return call


def test_help_lists_all_commands_in_the_order_of_the_work(called):
    said = called("--help")[0]
    listed = said.split("─ Start ─")[1]
    assert re.findall(r"^│ ([a-z-]+) ", listed, re.M) == COMMANDS
    places = [said.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    assert sorted(CLI.commands) == sorted(COMMANDS)
    assert "--install-completion" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_pasted(name, called):
    said = called(name, "--help")[0].split("Examples:")[1]
    shown = [" ".join(each.split()) for each in said.replace("\\\n", " ").strip().split("\n\n")]
    assert shown == [" ".join(each.split()) for each in CLI.commands[name].examples]
    assert max(map(len, said.splitlines())) <= 80
    for example in CLI.commands[name].examples:
        words = shlex.split(example.replace("…", "x"))
        if "--" in words:  # Beam checks its own options
            words = words[: words.index("--")]
        command = CLI.commands[words[1]]
        parsed = command.make_context(words[1], words[2:])
        assert parsed.params


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_broken_by_the_terminal_and_names_are_capitals(name, called, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = called(name, "--help")[0]
    usage, *text = re.split(r"\n *\n", said.split("╭─")[0].strip())
    names = usage.split("[OPTIONS] ")[1].strip()
    assert re.fullmatch(r"((\{[A-Z]+(\|[A-Z]+(\.npz)?)?\}|\[(-- )?[A-Z ]+\])(\.{3} ?)? ?)+", names)
    for paragraph in text:
        lines = paragraph.split("\n")
        for line, following in pairwise(lines):
            assert len(f"{line.rstrip()} {following.split()[0]}") > 79, paragraph


def test_versions_are_those_of_the_package(called):
    assert tfmem.__version__ == version("tfmem")
    assert called("--version")[0] == f"tfmem {version('tfmem')}\n"
    for name in ("__version__", *tfmem.__all__):
        assert getattr(tfmem, name)


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "tfmem", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("tfmem ")
    quick = "import tfmem, sys; assert not {'pipelines', 'typer', 'tensorflow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", quick]).returncode == 0


@pytest.mark.parametrize(("words", "note"), [
    (["plan", "x.yaml", "--examples", "1,2"], "--examples is now called --sizes"),
    (["plan", "x.yaml", "--examples=1,2"], "--examples is now called --sizes"),
    (["report", "x", "--examples", "3"], "--examples is now called --max-examples"),
    (["study", "x.yaml", "--out", "x", "--no-trials"], "--no-trials is now called --no-subsampled"),
    (["features", "x.yaml", "--out", "x.npz"], "--out is now called --file"),
    (["duplicates", "x.yaml", "--out", "x.csv"], "--out is now called --file"),
    (["matrix", "x", "--labels", "x", "--out", "x.npy"], "--out is now called --file"),
    (["export", "x", "--format", "csv", "--influence", "--out", "x"], "called --with-influence"),
    (["export", "x", "--format", "pairs-npz", "--out", "x.npz"], "--out is now called --file"),
])  # fmt: skip
def test_old_names_are_understood_with_a_note(words, note, called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, err, code = called(*words)
    assert code == 1
    first, second = err.splitlines()
    assert first.startswith("note: ")
    assert note in first
    assert second.startswith("error: ")
    assert "x" in second  # names the missing place, not the option


def test_export_takes_a_file_or_a_folder(called):
    for words in (["csv", "--file", "x"], ["pairs-npz"], ["csv", "--file", "x", "--out", "y"]):
        out, err, code = called("export", "x", "--format", *words)
        assert (out, code) == ("", 1)
        assert re.match(r"error: --format \S+: expected --(file|out) and no other place\n", err)


def failing(error):
    commands = typer.Typer(pretty_exceptions_enable=False)

    @commands.command()
    def command(verbose: bool = False) -> None:
        set_loudness(False, verbose)
        raise error

    return commands


def told(error, capsys, monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["tfmem", *words])
    with pytest.raises(SystemExit) as ended:
        main(failing(error))
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_a_mistake_is_a_line_and_its_traceback_is_asked_for(capsys, monkeypatch):
    error = InputError("file: record 3: \x1b[2Jwrong")
    assert told(error, capsys, monkeypatch) == "error: file: record 3: \\x1b[2Jwrong\n"
    said = told(error, capsys, monkeypatch, "--verbose").splitlines()
    assert said[0].startswith("Traceback")
    assert said[-1] == "error: file: record 3: \\x1b[2Jwrong"
    full = OSError(28, "No space left on device", "/x/y")
    assert told(full, capsys, monkeypatch) == "error: /x/y: No space left on device\n"


def test_a_bug_is_said_to_be_one(capsys, monkeypatch):
    wrapped = ComponentError("KeyError('x') (component train, …)")
    wrapped.__cause__ = KeyError("x")
    for error in (KeyError("x"), wrapped):
        first, second, *_ = told(error, capsys, monkeypatch).splitlines()
        assert re.match(
            r"error: this is a bug in tfmem \S+, please report it .*KeyError: 'x'", first
        )
        assert second.startswith(("Traceback", "KeyError"))
    wrapped.__cause__ = InputError("x")
    assert told(wrapped, capsys, monkeypatch).count("\n") == 1


@pytest.mark.parametrize(("option", "words"), [
    ("--no_such_beam=3", "Beam has no option --no_such_beam"),
    ("--direct_num_worker=2", "did you mean --direct_num_workers?"),
    ("--runner=DirectRunner --nope", "Beam has no option --nope"),
])  # fmt: skip
def test_an_option_that_beam_does_not_have_is_refused(option, words):
    with pytest.raises(InputError, match=re.escape(words)):
        beam_options(option.split())
    beam_options(
        ["--runner=FlinkRunner", *option.split()[-1:]]
    )  # the option may be one of its job server


@pytest.mark.parametrize("words", [
    ["run", "configs/digits.yaml", "--out", "x"],
    ["experiment", "removal", "configs/digits.yaml", "--out", "x"],
    ["study", "configs/digits.yaml", "--out", "x"], ["audit", "configs/digits.yaml", "--out", "x"],
    ["train", "configs/digits.yaml", "--out", "x", "--beam"],
    ["estimate", "x", "--labels", "x", "--out", "x"],
    ["matrix", "x", "--labels", "x", "--file", "x.npy"],
], ids=lambda words: words[0])  # fmt: skip
def test_every_command_refuses_it_at_once(words, called, tmp_path):
    words = [str(tmp_path / "x") if word == "x" else word for word in words]
    out, err, code = called(*words, "--", "--no_such_beam=3")
    assert (out, code) == ("", 1)
    assert err == "error: Beam options: Beam has no option --no_such_beam\n"
    assert not list(tmp_path.iterdir())


def test_what_a_job_takes_is_said_and_the_limit_where_it_binds(capsys):
    memory.divide([100] * 4, 0, 0, 2**40)
    assert capsys.readouterr().out == "memory: about 450 MiB\n"
    set_loudness(True, False)
    memory.divide([100] * 4, 0, 0, 2**40)
    assert capsys.readouterr().out == ""


def test_quiet_and_verbose_may_stand_before_and_after(tmp_path, called):
    for words in (["-q", "plan"], ["plan", "-q"]):
        out, err, code = called(
            *words, "configs/digits.yaml", "--sizes", "100,50,2", "--trials", "100", "--fractions",
            "0.7", "--out", tmp_path / "plan",
        )  # fmt: skip
        assert (code, err) == (0, "")
        assert out.startswith("With ")
        assert "Results" not in out
    for words in (["-v", "show"], ["show", "-v"]):
        _, err, code = called(*words, tmp_path / "none")
        assert code == 1
        assert err.startswith("Traceback")


def test_a_plan_begins_with_what_to_do(called):
    sizes = ["--sizes", "100,50,2", "--fractions", "0.7", "--trials", "100"]
    first = called("plan", "configs/digits.yaml", *sizes)[0].splitlines()[0]
    found = (
        r"With [\d,]+ trials an influence of 0\.15 is found 9 times in 10: the configured 2,000 "
    )
    assert re.fullmatch(found + r"are enough\.", first)
    few = ["--set", "training.trials=50"]
    first = called("plan", "configs/digits.yaml", *sizes, *few)[0].splitlines()[0]
    assert re.search(r"9 times in 10; with the configured 50, one of 0\.\d\d\.$", first)
    never = ["--influence", "0.01"]
    first = called("plan", "configs/digits.yaml", *sizes, *never)[0].splitlines()[0]
    assert "more than 100,000 trials" in first


def test_configurations_are_listed_with_what_they_are_and_cost(called):
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    said, err, code = called("configs")
    assert (err, code) == ("", 0)
    listed = re.findall(r"^(\S+)\n    (.*)\n    Cost: (.*)$", said, re.M)
    assert [name for name, *_ in listed] == names
    assert all(
        line.endswith((".", "?")) and len(line) < 93 for _, *lines in listed for line in lines
    )


def test_a_configuration_that_ships_is_taken_by_its_name(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert called("configs", "copy", "digits")[2] == 0
    copied = Path("digits.yaml").read_text(encoding="utf-8")
    assert copied.startswith("# tfmem run digits.yaml --out runs/digits\n")
    shown = called("configs", "show", "digits")[0]
    assert shown.startswith("# tfmem run digits --out runs/digits\n")
    assert settings_of(Path("digits"), ["seed=3"]) == settings_of(Path("digits.yaml"), ["seed=3"])
    Path("digits").mkdir()  # a folder is not taken for a configuration
    assert settings_of(Path("digits"), []).seed == 0
    Path("digits").rmdir()
    Path("digits").write_text("seed: 7")  # a file takes precedence over a name
    assert settings_of(Path("digits"), []).seed == 7


def test_a_copy_replaces_no_file_unless_told(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text("mine")
    for to in ([], ["--to", tmp_path], ["--to", "digits.yaml"]):
        _, err, code = called("configs", "copy", "digits", *to)
        assert (err.count("\n"), code) == (1, 1)
        assert "exists already: --force replaces it" in err
    assert Path("digits.yaml").read_text() == "mine"
    assert called("configs", "copy", "digits", "--force")[2] == 0
    assert settings_of(Path("digits.yaml"), []) == settings_of(Path("digits"), [])
    assert called("configs", "copy", "digits", "--to", "my own.yaml")[2] == 0
    assert "run 'my own.yaml' --out" in Path("my own.yaml").read_text()
    assert "in an existing folder" in called("configs", "copy", "digits", "--to", "a/b")[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.yaml", "my own.yaml"]


@pytest.mark.parametrize(("words", "said"), [
    (["run", "dgits"], "dgits: expected a file, or the name of a configuration that ships with "
     "tfmem (`tfmem configs` lists them); did you mean digits"),
    (["train", "configs/digit.yaml"], "No such file or directory; did you mean digits"),
    (["configs", "show", "digts"], "digts: expected a file, or the name"),
    (["configs", "copy"], "expected `tfmem configs`, `tfmem configs show NAME` or"),
    (["configs", "list", "digits"], "expected `tfmem configs`, `tfmem configs show NAME` or"),
    (["configs", "show", "digits", "--force"], "--to and --force are for"),
], ids=" ".join)  # fmt: skip
def test_a_name_that_no_configuration_has_is_one_clear_error(
    words, said, called, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    out, err, code = called(*words)
    assert (out, code) == ("", 1)
    assert re.fullmatch(r"error: [^\n]*\n", err)
    assert said in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["run", "train", "study", "audit", "self-influence", "attribute"])
def test_outputs_go_to_the_folder_that_is_called_as_the_configuration(name):
    for config in ("digits", "configs/digits.yaml"):
        parsed = CLI.commands[name].make_context(name, [config])
        assert str(parsed.params["out"]) == "runs/digits"
        parsed = CLI.commands[name].make_context(name, [config, "--out", "x/y"])
        assert str(parsed.params["out"]) == "x/y"


def test_a_real_process_says_nothing_but_the_error(tmp_path):
    done = tfmem_process("show", tmp_path / "none", code=1)
    assert re.fullmatch(r"error: [^\n]*\n", done.stderr)
