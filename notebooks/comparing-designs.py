# %% [markdown]
# # Comparing two designs
#
# **The question.** A shop prints invoices on four small machines. For the same price it could have two that
# are twice as fast. Which is better: four small or two big ones?
#
# The question is old, and the answer is below. What this notebook is about is how to *tell*: a simulation
# draws random numbers, so each run says something else. How many runs does it take until the difference is
# one of the designs, and not of luck?

# %%
import numpy as np
from matplotlib import pyplot
from scipy import stats

from simbus import Scenario, compare, simulate, sweep, tornado

# %% [markdown]
# ## Two designs
#
# 40 invoices a second. On paper both are the same: the machines of either can print 50 a second, and are busy
# for 80 % of the time.

# %%
four = Scenario("four small")
four.queue("invoices")
four.publisher("shop", to="invoices", arrivals="poisson 40/s")
four.consumer("printer", queue="invoices", count=4, prefetch=1, service="lognormal mean=80ms cv=1")
two = four.with_("consumers.printer.count", 2)
two = two.with_("consumers.printer.service", "lognormal mean=40ms cv=1")

for design in (four, two):
    assert round(design.check().table().loc["printer", "utilisation"], 9) == 0.8

# %% [markdown]
# ## First try: run both
#
# Ten runs of a minute each, and other random numbers for each design, as two experiments on two real systems
# would have. We ask for the *residence*: from the moment that an invoice enters the queue until it is
# printed.

# %%
run = {"duration": "60s", "warmup": "10s", "replications": 10}
metric = "invoices.residence.mean"
small, big = simulate(four, seed=1, **run), simulate(two, seed=2, **run)
apart = compare(small, big, metric, paired=False)  # Welch's interval
print(apart)
assert apart.outcome == "undecided"

# %% [markdown]
# Perhaps two are better, perhaps not: the interval of the difference contains 0. Ten runs, and nothing is
# known.
#
# ## Second try: the same luck for both
#
# A run in which many invoices come at once is a bad one for either design. So let both meet the *same*
# invoices: the same arrivals, and the same sizes in the same order. Nothing more is needed than the same
# seed. Then replication 3 of the one pairs with replication 3 of the other, and what is left of their
# difference is the design. These are *common random numbers*.

# %%
big = simulate(two, seed=1, **run)
paired = compare(small, big, metric)
print(paired)
assert paired.outcome == "lower"

# %% [markdown]
# As many runs, as long, and now it is decided, with a small part of the interval. One picture says why: each
# dot is one pair of runs.

# %% alt="Ten dots near a straight line: runs in which invoices take long on four machines are those in which they do on two."
x, y = (1000 * np.array(result.observations(metric)) for result in (small, big))
figure, axes = pyplot.subplots(figsize=(4.6, 4.2), layout="constrained")
axes.scatter(x, y)
axes.axline((80, 80), slope=1, color="grey", linestyle=":")
axes.annotate("equally good", (117, 121), color="grey", ha="center", va="center", rotation=45)
axes.set(xlabel="mean residence, four small (ms)", ylabel="mean residence, two big (ms)")
axes.set(xlim=(85, 160), ylim=(85, 160))
axes.set_aspect("equal")

# %% [markdown]
# Luck moves a dot *along* the line, by far; the design moves it *off* the line, always to the same side and
# by nearly the same. Without pairs one sees where dots lie along each axis only, and there they overlap.

# %%
assert np.corrcoef(x, y)[0, 1] > 0.9
assert (y < x).all()
print(f"pairs are worth {paired.variance_reduction:.0f} times as many runs without them")
assert paired.variance_reduction > 10

# %% [markdown]
# ## What chance had each try?
#
# Perhaps the first try was unlucky, and the second lucky. We can ask: 100 replications are ten experiments of
# ten. With pairs, experiment *k* compares its own ten runs of both designs. Without, it compares the runs of
# one design with those that the *next* experiment made of the other, whose random numbers are others. The
# question is now a harder one, about the slowest percent of invoices.

# %%
many = run | {"replications": 100}
tail = "invoices.residence.p99"
of_four = np.array(simulate(four, seed=1, **many).observations(tail)).reshape(10, 10)
of_two = np.array(simulate(two, seed=1, **many).observations(tail)).reshape(10, 10)
others = np.roll(of_two, 1, axis=0)

with_pairs = stats.ttest_rel(of_four, of_two, axis=1).pvalue < 0.05
without = stats.ttest_ind(of_four, others, axis=1, equal_var=False).pvalue < 0.05
print(f"of 10 experiments, {with_pairs.sum()} decide with pairs and {without.sum()} without")
assert with_pairs.all()
assert without.sum() < 8

# %% [markdown]
# ## Better at what?
#
# Two big ones are better, then? The same runs have another metric:

# %%
for name in ("invoices.residence.mean", "invoices.residence.p99", "invoices.wait.mean"):
    print(compare(small, big, name))

# %%
assert compare(small, big, "invoices.residence.p99").outcome == "lower"
assert compare(small, big, "invoices.wait.mean").outcome == "higher"

# %% [markdown]
# Invoices *wait* for longer, and are *done* sooner. With four machines one is free more often; with two, each
# is twice as fast once it has begun. Who answers "which is better" has to say for whom: a customer who waits
# for the invoice is better off with two; were the wait what was promised, with four.
#
# ## Pass, fail, or undecided
#
# Often the question is not which design is better but whether one is good enough. An expectation has three
# answers. It *holds* if its whole interval is on the right side, it *fails* if the whole is on the wrong one,
# and else it is *undecided*: then nobody should claim either, and more runs help.

# %%
print(f"{'limit':>22}  four small   two big")
for limit in ("350ms", "450ms", "500ms", "600ms"):
    verdicts = [result.verdict(f"{tail} < {limit}").outcome for result in (small, big)]
    print(f"{'p99 residence < ' + limit:>22}  {verdicts[0]:<11}  {verdicts[1]}")

# %%
doubt = small.verdict(f"{tail} < 500ms")
assert doubt.outcome == "undecided"
print(f"{doubt.more} more replications would probably tell whether four hold 500 ms")

# %% [markdown]
# ## More than two
#
# A sweep simulates all of its designs on common random numbers, and compares each with one of them, all
# intervals at once.

# %%
designs = {
    "four small": four,
    "five small": four.with_("consumers.printer.count", 5),
    "two big": two,
}
huge = four.with_("consumers.printer.count", 1)
designs["one huge"] = huge.with_("consumers.printer.service", "lognormal mean=20ms cv=1")
table = sweep(designs, seed=1, **run).compare(metric, to={"design": "four small"})
table[["design", "outcome", "difference.mean", "difference.low", "difference.high"]]

# %%
assert list(table["outcome"]) == ["lower", "lower", "lower"]

# %% [markdown]
# ## What matters most?
#
# The design with two is chosen, and rests on numbers of which we are not sure. A tornado changes one after
# the other, on the same random numbers again.

# %% alt="A tornado: the mean residence swings most with the arrivals, then with the variation of the service time."
unsure = {
    "publishers.shop.arrivals": ("poisson 36/s", "poisson 44/s"),
    "consumers.printer.service": ("lognormal mean=40ms cv=0.7", "lognormal mean=40ms cv=1.3"),
    "consumers.printer.prefetch": (1, 3),
}
swings = tornado(two, unsure, metric=metric, seed=1, **run)
figure, axes = pyplot.subplots(figsize=(9, 3.4), layout="constrained")
axes = swings.plot(ax=axes)

# %%
swings

# %% [markdown]
# ## What to take home
#
# - **Compare in pairs.** Same seed, same names, same number and length of runs: `compare()` does the rest,
#   and refuses what does not pair.
# - **Look at the interval of the difference**, not at whether two intervals overlap.
# - **Names matter.** Random numbers belong to a party by its name: a consumer with another name draws others,
#   and the pairs are gone.
# - **Say better at what.** Wait and residence disagree here, and mean and tail may elsewhere.
# - **"Undecided" is an answer.** It says how many more runs it would take.
#
# Next: [what all of this rests on](../docs/statistics.md#which-of-two-designs-is-better), with sources.
