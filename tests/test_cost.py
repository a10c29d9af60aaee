"""What a study costs, from its graphs alone: time, memory, disk, and the jobs that follow."""

import copy

import pytest
import yaml

from vanishing.study import cost, plan
from vanishing.study.description import description, size, wall_seconds
from vanishing.study.sizes import SIZES, Places, size_of

BATTERY = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh"], "init": ["he"], "depth": [4]},
    "width": 64,
    "seeds": {"judged": 30},
    "train": {"steps": 200, "lr": 0.1, "batch": 64},
}
RNN = {"family": "rnn", "task": {"adding": {}}, "length": 10}
GAN = {"family": "gan", "task": "ring"}
CNN = {"family": "cnn"}


@pytest.fixture
def make(tmp_path):
    """Plans a study of one battery with some settings changed."""

    def make(beside=None, **changes):
        battery = copy.deepcopy(BATTERY)
        for name, value in changes.items():
            together = isinstance(value, dict) and isinstance(battery.get(name), dict)
            battery[name] = {**battery[name], **value} if together else value
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": {"b": battery}, **(beside or {})}))
        return plan.make(path, tmp_path / "results")

    return make


@pytest.fixture
def graph(make):
    return lambda **changes: make(**changes).cohorts[0].graph


@pytest.mark.parametrize("family", [{}, RNN, GAN, CNN], ids=["mlp", "rnn", "gan", "cnn"])
@pytest.mark.parametrize(
    "more",
    [
        {"factors": {"depth": [8]}},
        {"width": 128},
        {"train": {"steps": 400}},
        {"train": {"batch": 256}},
        {"probes": {"steps": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]}},
    ],
    ids=["depth", "width", "steps", "batch", "probes"],
)
def test_more_of_anything_takes_longer(graph, family, more):
    def of_run(g):
        return cost.seconds_of_stack(g, 8) / 8

    assert of_run(graph(**{**family, **more})) > of_run(graph(**family))


def test_each_family_has_a_rate_of_every_amount(graph):
    for family in ({}, RNN, GAN, CNN):
        g = graph(**family)
        assert set(cost.SECONDS[g["family"]]) <= set(cost.terms(g, 1))
        assert all(rate > 0 for rate in cost.SECONDS[g["family"]].values())


@pytest.mark.parametrize(
    "block", ["freeze", "interference", "jacobian", "shattering", "robustness", "linear_probe"]
)
def test_an_expensive_block_costs(graph, block):
    plain = graph(probes={"steps": [1], "batch": 64})
    more = graph(probes={"steps": [1], "batch": 64, "blocks": [block]})
    assert cost.seconds_of_stack(more, 8) > 1.01 * cost.seconds_of_stack(plain, 8)


def test_a_stack_costs_less_a_run_than_one_alone(graph):
    g = graph()
    assert cost.seconds_of_stack(g, 20) < 20 * cost.seconds_of_stack(g, 1)


def test_a_job_holds_as_many_runs_as_its_time(graph):
    g = graph()
    for seconds in (0.01, 1.0, 30.0, 300.0):
        runs = cost.runs_within(g, seconds)
        assert runs == 1 or cost.seconds_of_runs(g, runs) <= seconds
        assert runs < cost.stack_of(g) or runs % cost.stack_of(g) == 0


def test_the_times_of_cohorts_add_up_to_that_of_the_study(make):
    planned = make({"cohort_flops": 1e10})
    assert len(planned.cohorts) > 1
    jobs = sum(map(cost.seconds, planned.cohorts))
    assert planned.seconds == pytest.approx(jobs + cost.SECONDS_OF_REPORT)


def test_cohort_flops_are_seconds_at_a_fixed_rate(make):
    cohort = make().cohorts[0]
    trained = cost.seconds(cohort) - cost.SECONDS_PER_JOB
    assert cohort.flops == pytest.approx(trained * cost.FLOPS_PER_SECOND)


def test_the_size_of_jobs_follows_from_the_size_of_the_study():
    assert cost.seconds_of_job(None, 3600) == cost.SHORT_JOB
    assert cost.seconds_of_job(None, 100 * 3600) == cost.LONG_JOB
    assert cost.seconds_of_job(1e12, 100 * 3600) == 1e12 / cost.FLOPS_PER_SECOND


def test_a_large_study_gets_jobs_of_a_cluster_and_a_small_one_of_a_laptop(make):
    small = make(seeds={"judged": 200})
    large = make(seeds={"judged": 20_000}, train={"steps": 20_000})
    longest = [max(map(cost.seconds, planned.cohorts)) for planned in (small, large)]
    assert longest[0] < 2 * cost.SHORT_JOB
    assert 600 < longest[1] < 3600
    assert "filled up to 30 min 0 s (for a study of over 8 h" in description(large)


def test_the_length_of_jobs_changes_no_run(make):
    ids = [
        {m.run_id for c in make({"cohort_flops": flops}).cohorts for m in c.members}
        for flops in (1e6, 1e10, 1e14)
    ]
    assert ids[0] == ids[1] == ids[2]


def test_memory_grows_with_the_stack_up_to_what_a_stack_may_hold(make):
    one, many, huge = (
        max(cost.memory_mb(c) for c in make(seeds={"judged": n}, width=w).cohorts)
        for n, w in ((1, 64), (20, 64), (200, 2048))
    )
    assert cost.MEMORY_MB < one < many < huge
    assert huge < 4000


def test_disk_follows_the_rows_that_a_run_logs(make):
    few = make(probes={"steps": [1]}).cohorts[0]
    rows = cost.rows_of_run(few.graph)
    assert (rows["runs"], rows["layers"], rows["networks"]) == (1, 12, 3)  # at steps 0, 1, 200
    assert cost.disk_bytes(make().cohorts[0]) > cost.disk_bytes(few)
    assert cost.rows_of_run(make(**RNN).cohorts[0].graph)["lags"] > 0


def test_more_places_take_less_time_until_the_longest_jobs_count(make):
    planned = make({"cohort_flops": 1e10})
    times = [wall_seconds(planned.cohorts, Places(n, "")) for n in (1, 2, 4, 1000)]
    assert times == sorted(times, reverse=True)
    longest = max(map(cost.seconds, planned.cohorts))
    assert times[-1] == pytest.approx(longest + cost.SECONDS_OF_REPORT)


def test_every_length_has_a_size():
    assert [size_of(s) for s in (0, 10, 1e3, 1e4, 1e9)] == [
        *("under 10 s", "10 s to 1 min", "10 min to 1 h", "1 h and more", "1 h and more"),
    ]
    assert list(SIZES.values()) == sorted(SIZES.values())


def test_a_profile_says_how_many_jobs_run_at_a_time(tmp_path):
    for text, count in (
        ("executor: slurm\njobs: ?int(site.get('JOBS', 40))  # at once\n", 40),
        ("cores: 6\n", 6),
        ("cores: all\n", Places.here().count),
        ("executor: slurm\n", 100),
    ):
        (tmp_path / "config.yaml").write_text("__use_yte__: true\n# jobs: 7\n" + text)
        assert Places.of_profile(str(tmp_path)).count == count


def test_sizes_are_said_in_their_own_unit():
    assert [size(n) for n in (0, 1.5e3, 9.94e8, 3e12)] == ["1 kB", "1.5 kB", "994 MB", "3.0 TB"]


def test_a_plan_says_jobs_time_memory_and_disk(make):
    text = description(make(), Places(3, "3 cores"))
    for part in ("jobs:", "longest", "of CPU by the graphs", "on 3 cores", "memory:", "disk:"):
        assert part in text
