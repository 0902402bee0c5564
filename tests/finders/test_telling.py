"""What a person reads of a range test, of batch sizes and of a profile."""

from __future__ import annotations

from hydrantic.finders.batch_sizes import BatchSizes, BatchTrial
from hydrantic.finders.experiments import Kept
from hydrantic.finders.measuring import Operator
from hydrantic.finders.profiling import Profile, summed_up
from hydrantic.finders.rates import RateTest
from hydrantic.finders.telling import tell_batch_sizes, tell_profile, tell_rates, tell_use


def test_a_range_test_shows_its_curve_and_the_rate() -> None:
    curve = (2.0, 2.0, 1.5, 1.0, 5.0)
    found = RateTest((1e-4, 1e-3, 1e-2, 0.1, 1.0), curve, curve, 0.01, 0.1, 1.0, 0.003, ("take care",))
    assert tell_rates(found) == (
        "      rate       loss\n"
        "   1.0e-04          2  |                    *\n"
        "   1.0e-03          2  |                    *  <- blueprint\n"
        "   1.0e-02        1.5  |          *  <- suggested\n"
        "   1.0e-01          1  |*  <- lowest\n"
        "   1.0e+00          5  |                                       >\n"
        "\n"
        "learning rate: 0.01 (the blueprint says 0.003)\n"
        "  the loss falls fastest there, and is lowest at 0.1\n"
        "  rates up to 0.03, a third of that, are worth a try as well\n"
        "  it diverged at 1, where the test ended\n"
        "note: take care"
    )


def test_a_rate_is_marked_at_the_nearest_row_and_nowhere_if_it_was_not_tried() -> None:
    rates = tuple(10 ** (-8 + 8 * step / 59) for step in range(60))
    found = RateTest(rates, rates, rates, 0.39, 1.0, None, 0.05)
    rows = {row.split()[0]: row.partition("<- ")[2] for row in tell_rates(found).splitlines() if "<-" in row}
    assert rows == {"3.9e-01": "suggested", "6.0e-02": "blueprint", "1.0e+00": "lowest"}
    assert "<-" not in tell_rates(RateTest(rates, rates, rates, None, None, None, 3.0))


def test_a_range_test_without_a_rate_says_so() -> None:
    flat = (1.0, 1.0)
    found = RateTest((0.1, 1.0), flat, flat, None, None, None, None)
    assert tell_rates(found).endswith("|*\n\nno learning rate suggested")


def test_batch_sizes_are_a_table() -> None:
    trials = (
        BatchTrial(64, True, 1000.0, 64.0, 5 << 20),
        BatchTrial(128, True, 2000.0, 64.0, None),
        BatchTrial(256, False, reason="out of memory"),
    )
    assert tell_batch_sizes(BatchSizes(trials, 64, "cuda", None, 0.01, ("take care",))) == (
        "  batch size  samples/s  ms a step  peak memory\n"
        "          64      1,000      64.00        5 MiB  blueprint\n"
        "         128      2,000      64.00               suggested, largest\n"
        "         256                                     out of memory\n"
        "\n"
        "batch size: 128 (the blueprint says 64)\n"
        "  the smallest one with at least nine tenths of the best rate\n"
        "  the largest that fits: 128; larger ones do not fit into memory\n"
        "  optimizer.lr=0.01 was chosen for batches of 64; hydrantic lr-find finds another.\n"
        "  As a rule: 0.02 with plain SGD (linear, Goyal et al. 2017)\n"
        "             0.014 with Adam and its kin (square root, Malladi et al. 2022)\n"
        "note: the memory is what torch allocated on the GPU, for training steps alone\n"
        "note: take care"
    )


def test_a_profile_is_two_tables_and_a_hint() -> None:
    work = summed_up([{"forward": 0.1}, {"forward": 0.03, "data": 0.01}])
    operators = (Operator("aten::mm", 2, 1.5, 0.5),)
    found = Profile(2, work, operators, 30.0, 25.0, 1234, 3 << 20, "cpu", 1, "forward takes 75% of the time")
    assert tell_profile(found) == (
        "  2 steps on cpu, 1 validation among them; 1,234 parameters, peak memory 3 MiB\n"
        "\n"
        "           share  ms a step    95 %    total  first step\n"
        "  forward  75.0%     30.000  30.000  0.030 s    100.0 ms  the model and the loss\n"
        "  data     25.0%     10.000  10.000  0.010 s      0.0 ms  getting batches, and moving them to the device\n"
        "\n"
        "  operators  share  ms a step  calls\n"
        "  aten::mm   50.0%      1.500      2\n"
        "\n"
        "30.0 steps/s as it is; 25.0 while timed\n"
        "forward takes 75% of the time"
    )


def test_what_was_found_is_used_by_a_command_that_can_be_copied() -> None:
    from pathlib import Path

    words = ["hydrantic", "fit", "a.yaml", "optimizer.lr=0.5", "model={name: mlp}"]
    assert tell_use(words, "optimizer.lr", 0.01, None).startswith(
        "use it: hydrantic fit a.yaml 'model={name: mlp}' optimizer.lr=0.01\n"
    )
    kept = Kept(Path("experiment/lr.yaml"), "hydrantic fit a.yaml +experiment=lr")
    assert tell_use(words, "optimizer.lr", 0.01, kept) == (
        "written: experiment/lr.yaml\nuse it:  hydrantic fit a.yaml +experiment=lr"
    )
