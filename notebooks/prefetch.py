# %% [markdown]
# # Prefetch, from theory to practice
#
# **The question.** A consumer of RabbitMQ has a *prefetch*: how many messages it may hold that it has not
# acknowledged yet. Most clients begin without any limit. Which one should yours have?
#
# Two forces pull at it. A message in the buffer of one consumer cannot be taken by another one that is idle,
# which asks for *few*. And a consumer that has to wait for its next message is idle itself, which asks for
# *enough*. We look at the one, then at the other, then at both.

# %%
from itertools import pairwise

from matplotlib import pyplot
from pandas import concat

from simbus import Scenario, sweep

run = {"duration": "60s", "warmup": "10s", "replications": 10, "seed": 1}

# %% [markdown]
# ## Four workers nearby
#
# 100 messages a second, four workers, 32 ms of work on average. So each of them is busy for 80 % of its time,
# whatever the prefetch. There is no network yet: an acknowledgement is followed by the next message at once.

# %%
near = Scenario("Four workers")
near.queue("work")
near.publisher("web", to="work", arrivals="poisson 100/s")
near.consumer("worker", queue="work", count=4, prefetch=1, service="exponential 32ms")
near.expect("work.wait.mean < 50ms")
near.expect("work.wait.p99 < 500ms")

nearby = sweep(near, {"consumers.worker.prefetch": [1, 2, 5, 20, "unlimited"]}, **run)
nearby

# %% [markdown]
# A row for each prefetch, waits in seconds, with their intervals. All five meet the same arrivals and the
# same service times, and the workers have the same to do. And yet the mean wait triples.
#
# ## What theory says
#
# Both ends have names in queueing theory. With a prefetch of 1 the broker keeps what waits, and whoever is
# free first gets the oldest: one queue for four servers, **M/M/4**. Without a limit the broker deals messages
# out like cards, in turn, the moment they come. So each worker has a queue of its own, to which every fourth
# message goes: **E4/M/1**. simbus knows where such a form applies and sets it beside what was observed:

# %%
first, last = nearby.points[0].result, nearby.points[-1].result
theory = concat({"prefetch 1": first.theory(), "unlimited": last.theory()})
waits = theory.index.isin(["work.wait.mean", "work.wait.p99"], level=1)
theory.loc[waits, ["model", "exact", "mean", "low", "high", "z"]]

# %%
assert (theory["z"].abs() < 3).all()
exact = theory["exact"].xs("work.wait.mean", level=1)
ratio = exact["unlimited"] / exact["prefetch 1"]
print(f"dealt in turn, a message waits {ratio:.2f} times as long")
assert 3.0 < ratio < 3.1

# %% [markdown]
# `z` counts standard errors between theory and simulation; within 3 is agreement. Between the two ends there
# is no such form, and one simulates.
#
# Why is dealing in turn so much worse? Because a worker has bad luck now and then: a few long messages in a
# row. What was dealt to it waits for it, though its neighbour is idle.
#
# ## One of four is slow
#
# So far all were alike. Let one worker take four times as long as the others: an older machine, or a pod
# whose neighbour is noisy. The work in all is no more than before: three workers of 24 ms and one of 96 ms
# can do 135 messages a second, and 100 come.

# %%
uneven = Scenario("One of four is slow")
uneven.queue("work")
uneven.publisher("web", to="work", arrivals="poisson 100/s")
uneven.consumer("quick", queue="work", count=3, service="exponential 24ms")
uneven.consumer("slow", queue="work", count=1, service="exponential 96ms")
uneven.expect("work.wait.p99 < 500ms")
uneven.expect("consumers.quick.utilisation < 99%")
uneven.expect("consumers.slow.utilisation < 99%")


def both(prefetch):
    """The scenario with a prefetch for all four."""
    quick = uneven.with_("consumers.quick.prefetch", prefetch)
    return quick.with_("consumers.slow.prefetch", prefetch)


designs = {f"prefetch {each}": both(each) for each in (1, 2, 5, 20, "unlimited")}
fairness = sweep(designs, **run)
fairness

# %% [markdown]
# With a prefetch of 1 the slow worker simply takes fewer. Every message more in its buffer is one that waits
# 96 ms longer, and this is what the slowest percent of messages is made of. Without a limit it is dealt a
# quarter of all, 25 a second, and can do 10: what it holds grows for as long as the day lasts, while the
# others are idle for 40 % of the time.

# %% alt="Depth of the queue over time, nearly all of it unacked: it rises in a straight line to a thousand messages."
unlimited = fairness.points[-1].result
axes = unlimited.plot.depth("work")

# %%
waits = [point.result.estimate("work.wait.p99") for point in fairness.points]
assert all(one.high < more.low for one, more in pairwise(waits))  # the more, the longer
assert unlimited.estimate("consumers.slow.utilisation").low > 0.99
assert unlimited.estimate("consumers.quick.utilisation").high < 0.65

# %% [markdown]
# All of it is *unacked*: no message is *ready*, so who watches for ready messages only sees an empty queue.
#
# ## Four workers far away
#
# Should everyone take 1, then? Let broker and workers be in two places, 50 ms apart. When a worker has
# acknowledged, its acknowledgement travels for 50 ms, and the next message for another 50. With a prefetch of
# 1 it is idle meanwhile. The check before any run says so:

# %%
far = near.with_("consumers.worker.prefetch", 1)
far.network("worker", latency="constant 50ms")
for caution in far.check().cautions:
    print(f"{caution.problem}: {caution.remedy}")

# %% [markdown]
# Which prefetch is enough is arithmetic. While one message is on its round trip and in the handler, as many
# others have to be at hand as the worker can do in that time:
#
# > prefetch = handlers × (1 + round trip / service time)
#
# Here that is 1 + 100 / 32 = 4.1, so 5. Does it hold?


# %%
def rule(round_trip_ms, service_ms, handlers=1):
    """How many messages keep the handlers of one consumer busy."""
    return handlers * (1 + round_trip_ms / service_ms)


print(f"the rule: {rule(100, 32):.1f}")

# %% alt="The 99th percentile of the wait over the prefetch: long at 1, it falls to its least at 8, and rises a little."
distant = sweep(far, {"consumers.worker.prefetch": [1, 2, 3, 4, 5, 8, 16, 64]}, **run)
axes = distant.plot.response("work.wait.p99 < 500ms")
axes.axvline(rule(100, 32), color="grey", linestyle=":", label="the rule: 4.1")
legend = axes.legend()

# %%
table = distant.frame("work.throughput", "work.wait.p99").set_index("consumers.worker.prefetch")
table.filter(like=".mean")

# %%
assert table["work.wait.p99.high"][5] < 0.5 < table["work.wait.p99.low"][4]
assert table["work.wait.p99.mean"].idxmin() == 8
assert 28 < table["work.throughput.mean"][1] < 32

# %% [markdown]
# Left of the rule it is a cliff. 4 workers with a prefetch of 1 do 30 messages a second, and 70 of each 100
# stay in the queue. Right of it is a gentle slope: the first force, among workers that are alike. **The two
# mistakes do not cost the same.** A message too many costs milliseconds, one too few costs the queue.
#
# That the least wait is at 8 and not at 5 has its reason too. The rule is right for mean times, but a few
# short messages in a row empty a buffer that is just large enough. Twice the rule is a good start.
#
# ## Both at once
#
# Near and far, small and large:

# %% alt="A map of the 99th percentile: what holds begins at 1 for 2 ms, and at 2, 5 and 8 for 10, 50 and 100 ms."
distances = [f"constant {latency}ms" for latency in (2, 10, 50, 100)]
prefetches = [1, 2, 5, 8, 16, "unlimited"]
grid = {"networks.worker.latency": distances, "consumers.worker.prefetch": prefetches}
short = {"duration": "30s", "warmup": "5s", "replications": 5, "seed": 1}
chart = sweep(far, grid, **short)
figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
axes = chart.plot.heat("work.wait.p99 < 1s", ax=axes)

# %% [markdown]
# Each column has its cliff where the rule says: latency is one way, so the round trips are 4, 20, 100 and 200
# ms.

# %%
for latency in (2, 10, 50, 100):
    least = rule(2 * latency, 32)
    print(f"{latency:>3} ms one way: at least {least:.1f}, so begin with {2 * least:.0f}")

# %%
for point in chart.points:
    latency, prefetch = point.factors.values()
    least = rule(2 * int(latency.removeprefix("constant ").removesuffix("ms")), 32)
    outcome = point.result.verdict("work.wait.p99 < 1s").outcome
    if prefetch == "unlimited" or prefetch >= least:
        assert outcome == "holds"
    elif prefetch < 0.8 * least:  # below, four workers at 80 % cannot keep up
        assert outcome == "fails"

# %% [markdown]
# ## What to take home
#
# - **Never without a limit**, unless there is one consumer only. Dealing in turn triples the wait of four
#   that are alike, and if one of them is slow its share of all messages is stuck.
# - **Not 1 either**, unless the broker is near compared with the work: the cliff is on the side of too few.
# - **The rule**: handlers × (1 + round trip / service time). Begin with twice that, measure both times, and
#   let `check()` do the arithmetic.
# - **Long work, few; short work, many.** A handler of a second needs 2 at any distance on Earth. One of a
#   millisecond that is 10 ms away needs 40.
# - **Watch unacked, not only ready.** What is stuck in a buffer is not ready.
#
# Next: [the same question as a file](../docs/scenarios.md#prefetch), with its answer for every pull request,
# and [how consumers are modelled](../docs/consumers.md).
