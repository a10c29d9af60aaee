"""Faults on one machine: kills, a full disk, damaged files, two starts, a clock that jumps."""

import contextlib
import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import psutil
import pytest

from vanishing.analysis.gather import gather
from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.study import head, processes
from vanishing.study import run as runner
from vanishing.study.mending import mend
from vanishing.tables import CURVES, LAYERS, LOGS, RUN_LOG

from . import faulted
from . import killed_study as small
from .faulted import RESULTS, TABLE, begin, grow, lay_out, logs, on_disk, say_study, study, told
from .lazy_head import lazily
from .test_workflow import CONFIG
from .workplaces import run

KILLS, SEED = 30, 20
PER_START = 10  # moments of a start at which what works is killed
WORKING, LEADING = {"preloaded", "job", "fork"}, {"head", "snakemake"}
DAY = 24 * 3600


def whole_study(folder: Path) -> None:
    """A project whose study is finished; the file ``seconds`` says how long that took."""
    lay_out(folder)
    began = time.monotonic()
    done = study(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "seconds").write_text(str(time.monotonic() - began))


@pytest.fixture(scope="module")
def finished(once):
    """A project whose study is finished, and how many seconds that took."""
    folder = once("faults", whole_study)
    return folder, float((folder / "seconds").read_text())


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished project, file times and all."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy", symlinks=True))


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables of a study, but for how long its runs took."""
    files = (folder / RESULTS / "tables").glob("*.parquet")
    frames = {file.stem: pd.read_parquet(file) for file in files}
    return {name: frame.drop(columns="seconds", errors="ignore") for name, frame in frames.items()}


def assert_complete(folder: Path, expected: Path) -> None:
    """The tables are those of ``expected``; nothing half written or running is left."""
    found, wanted = tables(folder), tables(expected)
    assert set(found) == set(wanted)
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)
    half = [file for file in (folder / RESULTS).rglob("*.parquet") if not whole(file)]
    assert not half
    assert not processes.below(folder / RESULTS)
    assert head.head(folder / RESULTS) is None


def whole(file: Path) -> bool:
    """Whether what is named as a result can be read as one."""
    try:
        return pd.read_parquet(file) is not None
    except (OSError, ValueError):
        return False


def kill_one(begun: psutil.Popen, folder: Path, among: set[str], chance: random.Random) -> list:
    """SIGKILL to a random process of a random kind ``among`` these; its kind, if there was one."""
    kinds = faulted.processes(begun, folder)
    there = sorted(among & set(kinds))
    if not there:
        return []
    kind = chance.choice(there)
    try:
        chance.choice(kinds[kind]).kill()
    except psutil.NoSuchProcess:
        return []
    return [kind]


def killed_start(folder: Path, seconds: float, most: int, chance: random.Random) -> list[str]:
    """Start the study; kill at random moments of ``seconds`` what works, and at last what leads.

    Later moments are likelier, as little works in the first ones. Gives the kinds of the killed.
    """
    end = chance.triangular(0, seconds, seconds)
    moments = sorted(chance.triangular(0, end, end) for _ in range(PER_START))
    begun, began, killed = begin(folder), time.monotonic(), []
    for moment in [*moments, end]:
        with contextlib.suppress(psutil.TimeoutExpired):
            begun.wait(max(0, began + moment - time.monotonic()))
            return killed
        killed += kill_one(begun, folder, LEADING if moment == end else WORKING, chance)
        if len(killed) == most:
            break
    begun.wait()
    return killed


@pytest.mark.slow
def test_study_killed_at_thirty_random_moments_ends_with_the_same_tables(finished, tmp_path):
    """Any process of it, again and again; what was trained at the end of a start is kept."""
    reference, seconds = finished
    chance, killed, folder = random.Random(SEED), [], lay_out(tmp_path / "killed")
    kept, round_ = {}, 0
    while len(killed) < KILLS or not LEADING & set(killed):
        if set(tables(folder)) == set(tables(reference)):  # complete, in spite of all
            assert_complete(folder, reference)
            round_, kept = round_ + 1, {}
            folder = lay_out(tmp_path / f"killed again {round_}")
        killed += killed_start(folder, seconds, KILLS - len(killed), chance)
        now = logs(folder)
        assert {file: now.get(file) for file in kept} == kept, (SEED, killed)
        kept = now
    done = study(folder)
    assert done.returncode == 0, (SEED, killed, done.stdout + done.stderr)
    now = logs(folder)
    assert {file: now.get(file) for file in kept} == kept, (SEED, killed)
    assert {"job", "fork"} & set(killed), killed
    assert not [file for file in (folder / RESULTS).rglob(".*.parquet.*") if file.is_file()]
    assert_complete(folder, reference)


def test_killed_snakemake_leaves_nothing_running_and_what_was_finished_is_kept(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner.preloaded, "running", lazily)
    small.lay_out(tmp_path)
    begun = small.begin()
    [snakemake] = [p for p in processes.below(small.RESULTS) if "snakemake" in p.cmdline()]
    small.finish("a", marked=True)
    snakemake.kill()
    begun.communicate()
    assert begun.returncode == 128 + 9
    assert not processes.below(small.RESULTS)
    Path("hold").unlink()
    assert runner.run_study("tiny.yaml") == 0
    assert small.trained() == ["b"]
    assert "kept: 1 cohort (a)" in capsys.readouterr().out


@pytest.mark.slow
def test_study_on_a_full_disk_says_so_and_goes_on_once_there_is_room(finished, tmp_path):
    reference, _ = finished
    lay_out(tmp_path / "new")
    (tmp_path / "disk").mkdir()
    script = (
        "mount -t tmpfs -o size=8m tmpfs disk; cp -r new/. disk; cd disk\n"
        "free=$(df --output=avail -k . | tail -1)\n"
        "dd if=/dev/zero of=filler bs=1k count=$((free - 120)) 2> ../dd\n"
        f"{say_study('full')} find . -name '.*.parquet.*' > ../half; cp -r results ../at_full\n"
        f"rm filler; {say_study('room')} cp -r results ../at_room\n"
    )
    done = on_disk(script, tmp_path)
    assert done.returncode == 0, done.stderr
    status, said = told(tmp_path, "full")
    assert status != 0
    assert "No space left on device" in said
    assert "what is finished is kept" in said.lower()
    assert "make room" in said
    assert "Traceback" not in said
    assert (tmp_path / "half").read_text() == ""
    (tmp_path / "at_full").rename(tmp_path / "results")
    assert all(whole(file) for file in (tmp_path / "results").rglob("*.parquet"))
    shutil.rmtree(tmp_path / "results")
    status, said = told(tmp_path, "room")
    assert status == 0, said
    (tmp_path / "at_room").rename(tmp_path / "results")
    assert_complete(tmp_path, reference)


def test_study_that_may_only_read_its_folder_says_so_before_it_trains(copy, tmp_path):
    before = logs(copy)
    grow(copy, 3)
    script = (
        "cd copy; mount --bind results results; mount -o remount,bind,ro results\n"
        f"{say_study('closed')} vanishing status '{CONFIG}'\n"
    )
    done = on_disk(script, tmp_path)
    status, said = told(tmp_path, "closed")
    assert status == 2, said
    assert f"{RESULTS}/.running.json cannot be opened or written: Read-only file system" in said
    assert "Traceback" not in said
    assert done.returncode == 0, done.stderr
    assert "4 of 4 runs trained" in done.stdout
    assert logs(copy) == before


def log_of(folder: Path, table: str, cohort: int) -> Path:
    """The log of a cohort, by its number in alphabetical order."""
    return sorted((folder / RESULTS / "logs" / table).glob("*.parquet"))[cohort]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.slow
def test_truncated_log_is_named_and_its_cohort_trained_again_once_it_is_deleted(copy, finished):
    broken = log_of(copy, LAYERS.name, 0)
    others = {file: was for file, was in logs(copy).items() if file.name != broken.name}
    assert others
    truncate(broken)
    (copy / TABLE).unlink()
    done = study(copy)
    assert done.returncode == 1
    assert f"{broken.relative_to(copy)} cannot be read as the table 'layers'" in done.stderr
    assert "Delete it and start again" in done.stderr
    assert "Traceback" not in done.stderr
    broken.unlink()
    done = study(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "some logs are missing, and trained again: 1 cohort" in done.stdout
    now = logs(copy)
    assert {file: now[file] for file in others} == others
    assert_complete(copy, finished[0])


@pytest.mark.parametrize("table", [RUN_LOG, LAYERS], ids=["runs", "layers"])
def test_truncated_log_is_named_by_gather_itself(copy, table):
    log = log_of(copy, table.name, 0)
    truncate(log)
    said = rf"{table.name}/{log.name} cannot be read as the table '{table.name}'.*Delete it and"
    with pytest.raises(UserError, match=said):
        gather(copy / RESULTS)


def test_log_of_another_version_is_named_with_what_differs_and_what_to_do(copy):
    log = log_of(copy, CURVES.name, 0)
    pd.read_parquet(log).drop(columns="test_accuracy").assign(speed=1.0).to_parquet(log)
    with pytest.raises(UserError) as refused:
        gather(copy / RESULTS)
    said = str(refused.value)
    assert f"{log} is no table 'curves' of this version" in said
    assert "missing columns ['test_accuracy'], unknown columns ['speed']" in said
    assert "Delete it" in said


def test_missing_log_of_a_trained_cohort_is_named_by_gather_itself(copy):
    log = log_of(copy, CURVES.name, 0)
    log.unlink()
    said = rf"curves/{log.name} is missing, and .*runs/{log.name} says .* Delete that too"
    with pytest.raises(UserError, match=said):
        gather(copy / RESULTS)


def test_truncated_table_is_named_and_made_again_once_it_is_deleted(
    copy, finished, monkeypatch, capsys
):
    table = copy / RESULTS / "tables/layers.parquet"
    truncate(table)
    monkeypatch.chdir(copy)
    assert main(["verify", str(RESULTS)]) == 2
    said = capsys.readouterr().err
    assert f"{table.relative_to(copy)} is no table" in said
    assert "delete it, and make the study again" in said
    before = logs(copy)
    table.unlink()
    (copy / TABLE).unlink()
    assert study(copy).returncode == 0
    assert logs(copy) == before
    assert_complete(copy, finished[0])


def test_second_start_by_another_path_to_the_same_folder_is_refused(copy, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(copy, target_is_directory=True)
    before = logs(copy)
    starts = ((link, CONFIG), (copy, f"../link/{CONFIG}"))

    def refused(start):
        return run("vanishing", "study", start[1], at=start[0])

    with head.only_head(copy / RESULTS), ThreadPoolExecutor() as at_once:
        for done in at_once.map(refused, starts):
            assert done.returncode == 2
            assert "is being worked on already, by process" in done.stderr
    assert logs(copy) == before


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["future", "past"])
def test_clock_that_jumped_trains_nothing_again_and_the_tables_are_made(copy, finished, ahead):
    """The logs of one time, the tables of another: of the future, Snakemake would take none."""
    (copy / TABLE).unlink()
    faulted.set_back(copy, -ahead)
    with (copy / "workflow/profiles/default/config.yaml").open("a") as profile:
        profile.write("max-checksum-file-size: 0\n")  # as of files that are larger than these
    before = {file: inode for file, (inode, _) in logs(copy).items()}
    done = study(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("from the future" in done.stdout) == (ahead > 0)
    assert {file: inode for file, (inode, _) in logs(copy).items()} == before
    assert_complete(copy, finished[0])
    if ahead > 0:  # what Snakemake might make again and again
        assert "nothing to do" in study(copy).stdout
        assert "4 of 4 runs trained" in run("vanishing", "status", CONFIG, at=copy).stdout


def files_of(folder: Path, *names: str) -> list[Path]:
    """New files of a study in ``folder``, written in this order."""
    files = [folder / name for name in names]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        os.utime(file, (1e9 + number, 1e9 + number))
    return files


def test_files_from_the_future_get_the_present_time_in_their_order(tmp_path):
    old, first, second = files_of(tmp_path, "plan.json", "tables/b.parquet", "claims/a.parquet")
    later = time.time() + DAY
    os.utime(first, (later, later))
    os.utime(second, (later + 1, later + 1))
    assert mend(tmp_path) == [
        "a clock has jumped: 2 files were from the future, and given the present time"
    ]
    times = [file.stat().st_mtime for file in (old, first, second)]
    assert times == sorted(times)
    assert times[0] == 1e9
    assert times[1] < times[2] <= head.clock(tmp_path)
    assert mend(tmp_path) == []


def test_cohort_that_lacks_a_log_is_trained_again_and_no_other(tmp_path):
    files = files_of(
        tmp_path, *(f"logs/{table}/{cohort}.parquet" for table in LOGS for cohort in "ab")
    )
    assert mend(tmp_path) == []
    (tmp_path / "logs/curves/b.parquet").unlink()
    assert mend(tmp_path) == ["some logs are missing, and trained again: 1 cohort (b)"]
    assert [file.name for file in (tmp_path / "logs/runs").iterdir()] == ["a.parquet"]
    assert files[0].exists()


def test_cohorts_are_trained_again_where_a_whole_kind_of_log_is_gone(tmp_path):
    files_of(tmp_path, *(f"logs/{table}/{cohort}.parquet" for table in LOGS for cohort in "ab"))
    shutil.rmtree(tmp_path / "logs/lags")
    assert mend(tmp_path) == ["some logs are missing, and trained again: 2 cohorts (a, b)"]
    assert mend(tmp_path) == []


def test_checkpoints_are_kept_of_what_is_to_be_trained_and_no_other(tmp_path):
    files_of(tmp_path, *(f"checkpoints/{cohort}/stacks.pt" for cohort in "abc"))
    files_of(tmp_path, *(f"logs/{table}/a.parquet" for table in LOGS))
    assert mend(tmp_path) == []
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3  # nobody said what is planned
    assert mend(tmp_path, {"a", "b"}) == []
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["b"]
    assert mend(tmp_path, {"a"}) == []
    assert not (tmp_path / "checkpoints").exists()


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path):
    files_of(tmp_path, "logs/runs/.a.parquet.x1_y2z3w", "running/.a.json.abcdefgh")
    logs_of_a = (f"logs/{table}/a.parquet" for table in LOGS)
    kept = files_of(tmp_path, ".running.json", *logs_of_a)
    assert mend(tmp_path) == []
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted(kept)
