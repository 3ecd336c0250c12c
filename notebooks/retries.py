# %% [markdown]
# # Retries and their price
#
# **The question.** A shop charges cards through a payment provider, and calls to it sometimes fail. To try again is right; but
# *how*? Each way costs something else: time, calls in vain, consumers, orders that are lost, or charged twice. We look at a
# calm day, at orders that can never be charged, at the day on which the provider is down, and at the one on which it is too
# slow.

# %%
import numpy as np
import simpy
from matplotlib import pyplot

from simbus import Scenario, TransientFailure, simulate, solve, sweep

# Colours that everyone can tell apart (Okabe and Ito)
colours = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"]
pyplot.rc("axes", prop_cycle=pyplot.cycler(color=colours))

# %% [markdown]
# ## A calm day
#
# 20 orders a second. Ten consumers call the provider, 50 ms at a time. One call in five fails, and may succeed the next time.
# Nothing is said about retries yet; so what fails goes back to its queue, and comes again at once. `check` knows by arithmetic
# what that means: 1 / (1 - 0.2) = 1.25 calls for an order.

# %%
shop = Scenario("Orders and a payment provider")
shop.queue("orders", dead_letter_exchange="", dead_letter_routing_key="parked")
shop.queue("parked")  # for what is given up: nobody consumes it, someone will look
shop.publisher("web", to="orders", arrivals="poisson 20/s")
work = {"count": 10, "prefetch": 1, "service": "exponential 50ms", "failure": 0.2}
shop.consumer("charge", queue="orders", **work)
shop.check().table()

# %%
run = {"duration": "2min", "replications": 5, "seed": 4}
calm = simulate(shop, **run)
calls = calm.estimate("orders.attempts.mean")
late = calm.estimate("window.p99")
print(f"{calls.mean:.3f} calls for an order")
print(f"99 % of orders are charged within {1000 * late.mean:.0f} ms")
assert calls.low < 1.25 < calls.high
assert late.high < 0.5

# %% [markdown]
# A quarter more calls, and hardly more time. For a failure that is chance, on a day on which consumers have time to spare,
# nothing is wrong with *at once*.
#
# ## Orders that can never be charged
#
# One order in fifty fails however often it is tried: the provider does not understand it. To the consumer that looks like any
# other failure. It gives the order back, and is the first to get it again.
#
# All orders go to four queues, so that four designs meet the same. The first has no end. The others have one each: a time to
# live of ten seconds, a delivery limit, which a quorum queue may have, and a consumer that rejects after five attempts.

# %% alt="The queue without an end is empty for twenty seconds and then grows to 750 orders"
bad = Scenario("Bad orders")
bad.exchange("shop", type="fanout")
kinds = {"bad": {"share": 0.02}, "good": {}}
bad.publisher("web", exchange="shop", arrivals="poisson 20/s", messages=kinds)
ends = {
    "no-end": {},
    "time-to-live": {"message_ttl": "10s"},
    "delivery-limit": {"type": "quorum", "delivery_limit": 5},
    "five-attempts": {},
}
for queue, options in ends.items():
    bad.queue(queue, **options)
    bad.bind(queue, "shop")
    retry = {"how": "requeue", "attempts": 5} if queue == "five-attempts" else None
    never = {"bad": {"failure": 1.0}}
    bad.consumer(f"of-{queue}", queue=queue, **work, classes=never, retry=retry)
endless = simulate(bad, duration="1min", replications=5, seed=1)
axes = endless.plot.depth("no-end")
_ = axes.set_title("No end: the queue of orders while bad ones come again and again")

# %% [markdown]
# Each bad order keeps a consumer for ever. One comes every two and a half seconds, and after ten of them nobody is left for the
# good ones. It is a *hot loop*: broker, consumers and provider are as busy as they can be, and nothing comes of it.

# %% alt="Consumers without an end are busy for 81 % of the minute, with a time to live for 53 %, with a limit for 13 %"
busy = endless.plot.utilisation()
busy.set_title("How busy the consumers are")
endless_load, bounded_load = (endless.estimate(f"{name}.utilisation") for name in list(ends)[:2])
assert endless_load.low > bounded_load.high

# %% [markdown]
# Any end will do, but not each costs the same. Until its ten seconds are over a bad order is called for some 200 times; with a
# limit it is six times, or five. What the three lose is the same, one in fifty (with a time to live, those of the last ten
# seconds are still at it); where it goes to, and why, is a matter of a dead letter exchange and its cause.

# %% alt="Two in a hundred orders are lost: expired, by the delivery limit, or rejected"
axes = endless.plot.loss()
axes.set_title("Orders lost, by cause")
for queue in ("time-to-live", "delivery-limit", "five-attempts"):
    assert endless.estimate(f"{queue}[good].loss").mean < 0.001
    assert endless.estimate(f"{queue}[bad].loss").mean > 0.75

# %%
in_vain = {queue: endless.estimate(f"consumers.of-{queue}.failures").mean for queue in ends}
for queue, failures in in_vain.items():
    print(f"{queue:>15}: {failures:6,.0f} calls in vain")
assert in_vain["no-end"] > in_vain["time-to-live"] > 5 * in_vain["five-attempts"]

# %% [markdown]
# ## How many attempts?
#
# A limit has a price as well: a good order may be unlucky five times. With attempts that fail with probability *p*,
# independently, a share of *p*ⁿ is lost after *n*. Dashed is that, dots are what is simulated.

# %% alt="The share of lost orders falls with each attempt, from 20 % to 0.03 %, along the line of theory"
limited = shop.with_("consumers.charge.retry", {"how": "requeue", "attempts": 5})
tries = sweep(limited, {"consumers.charge.retry.attempts": range(1, 6)}, **run)
axes = tries.plot.response("orders.loss")
axes.plot(range(1, 6), [0.2**n for n in range(1, 6)], "k--", label="theory: 0.2ⁿ")
axes.set_title("What one more attempt is worth")
axes.set(xlabel="attempts at most", ylabel="orders lost (%)")
_ = axes.legend()

# %%
for n, each in enumerate(tries.points, start=1):
    lost = each.result.estimate("orders.loss")
    assert lost.low < 0.2**n < lost.high

# %% [markdown]
# ## Where does an order wait?
#
# At once is too early when the cause takes a moment. With a back-off of one second, the order has to wait somewhere:
#
# - *in the handler*, which sleeps and calls again;
# - *requeue*: it goes back after the back-off, and fills the consumer's prefetch until then;
# - *delay queue*: a queue whose time to live is the back-off, and whose dead letters go back;
# - *delayed exchange*: the exchange of RabbitMQ's plug-in keeps it for the time.
#
# The table shows means, in seconds and shares; `frame` has the intervals beside them.

# %%
hows = {
    "at once": {"how": "requeue", "attempts": 5},
    "in the handler": {"how": "in-handler", "attempts": 5, "backoff": "fixed 1s"},
    "requeue": {"how": "requeue", "attempts": 5, "backoff": "fixed 1s"},
    "delay queue": {"how": "delay-queue", "attempts": 5, "backoff": "fixed 1s"},
    "delayed exchange": {"how": "delayed-exchange", "attempts": 5, "backoff": "fixed 1s"},
}


def with_each(scenario, hows):
    """The scenario in several designs, by name."""
    return {name: scenario.with_("consumers.charge.retry", how) for name, how in hows.items()}


ways = sweep(with_each(shop, hows), **run)
metrics = "orders.wait.p99", "orders.utilisation", "window.p99", "orders.loss"
table = ways.frame(*metrics).set_index("design")
table.filter(regex="mean$").round(3)

# %% [markdown]
# Those who sleep in the handler keep their consumer busy for a second, 61 % of the time instead of 12 %, so that others wait
# for it. With *requeue* the consumer is not busy, but its prefetch of one is full, which comes to the same; and utilisation
# does not show it. In the broker an order is in nobody's way: nothing waits for a consumer, and `window`, from the publish
# until the card is charged, is the back-off and little else.

# %%
waits = {each.factors["design"]: each.result.estimate("orders.wait.p99") for each in ways.points}
assert waits["in the handler"].low > 0.1
assert waits["requeue"].low > 0.1
assert waits["delay queue"].high < 0.05

# %% [markdown]
# The price, in consumers: how many does it take, so that 99 % of the attempts begin within half a second?

# %%
needed = {}
for name in ("in the handler", "delay queue"):
    design = shop.with_("consumers.charge.retry", hows[name])
    found = solve(design, "consumers.charge.count", range(1, 17), "orders.wait.p99 < 500ms", **run)
    needed[name] = found.value
    print(f"{name}: {found.value} consumers")
assert needed["in the handler"] >= 4 * needed["delay queue"]

# %% [markdown]
# Of the delay queue theory knows the answer, too: it is a server of a network of queues, with as many places as it likes. The
# table sets that beside what was observed; `z` is how far they are apart, in standard errors. (An order that comes back is
# another copy, hence one attempt each.)

# %%
tight = design.with_("consumers.charge.count", needed["delay queue"])
theory = simulate(tight, warmup="10s", **run).theory()
assert (theory["z"].abs().dropna() < 3).all()
theory[["model", "exact", "mean", "low", "high", "z"]].round(3)

# %% [markdown]
# ## The provider is down
#
# From the 10th second to the 40th every call fails. Now the *length* of the back-off matters. Six designs meet the same orders
# and the same outage:

# %% alt="Calls a second: at once and fixed at 200, linear and exponential at 100 to 150, on a budget hardly more than before"
down = shop.with_("run.seed", 1)  # a copy
down.outage("provider", "fail", whom=["charge"], at="10s", lasting="30s")
exchange = {"how": "delayed-exchange"}
backoffs = {
    "at once": {"how": "requeue"},
    "fixed": {**exchange, "attempts": 100, "backoff": "fixed 1s"},
    "linear": {**exchange, "attempts": 30, "backoff": "linear 1s"},
    "exponential": {**exchange, "attempts": 10, "backoff": "exponential 1s"},
    "with jitter": {**exchange, "attempts": 10, "backoff": "exponential 1s jitter=50%"},
}
backoffs["on a budget"] = {**backoffs["with jitter"], "budget": "30%"}
outage = sweep(with_each(down, backoffs), **run)


def calls_per_second(result, seconds):
    """Of the first replication; each row of ``deliveries`` is one call here."""
    return np.histogram(result.deliveries["started"], bins=np.arange(seconds + 1))[0]


figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
for each in outage.points:
    if each.factors["design"] != "with jitter":  # hardly another line than without
        axes.stairs(calls_per_second(each.result, 120), label=each.factors["design"], linewidth=1.5)
axes.axvspan(10, 40, color="grey", alpha=0.2, linewidth=0)
axes.set_title("Calls of the provider, which is down in the shaded time")
axes.set(xlabel="time (seconds)", ylabel="calls (1/s)")
_ = axes.legend(frameon=False)

# %%
metrics = "consumers.charge.failures", "orders.wait.p99", "window.p50", "window.p99", "orders.loss"
table = outage.frame(*metrics).set_index("design")
failures = table["consumers.charge.failures.mean"]
late = table["window.p99.mean"]
lost = table["orders.loss.mean"]
order = ["on a budget", "exponential", "linear", "fixed", "at once"]
assert failures[order].is_monotonic_increasing
assert failures["at once"] > 2 * failures["exponential"]
assert late["exponential"] > late["linear"] > late["at once"]
assert lost["on a budget"] > 0.2
assert lost["exponential"] < 0.01
table.filter(regex="mean$").round(3)

# %% [markdown]
# - **At once** and **fixed** call as often as consumers can: 200 times a second, where 25 are of use. That is a *retry storm*.
#   A provider that comes back to its feet under it has nothing to spare for that; we shall see.
# - **Linear** and **exponential** call less and less often, and pay in time: the order that failed just before the end waits as
#   long again as it has waited already. The last percentile is a minute. A `limit` on the back-off bounds it.
# - **The budget** allows three retries for ten first attempts, and calls hardly more than on a calm day. Its price is a quarter
#   of the orders, which are rejected and parked. They are not gone, since the dead letter exchange keeps them, but someone has
#   to publish them again. (Their `window` never closes: *inf*.)
#
# ### What jitter is for
#
# Here jitter was worth nothing: orders come one by one, so their retries do, too. It is for what fails *together*. Three
# hundred orders that were imported at once meet a provider that is down for five seconds:

# %% alt="Without jitter the calls come in peaks after 1, 3 and 7 seconds, with it they are spread"
crowd = Scenario("An import")
crowd.queue("orders")
crowd.publisher("import", to="orders", arrivals="bursts size=300 every=10s")
crowd.consumer("charge", queue="orders", concurrency=300, prefetch=300, service="exponential 50ms")
crowd.outage("provider", "fail", whom=["charge"], at="10s", lasting="5s")
figure, axes = pyplot.subplots(figsize=(9, 3), layout="constrained")
peaks = {}
for backoff in ("exponential 1s", "exponential 1s jitter=50%"):
    how = {**exchange, "attempts": 10, "backoff": backoff}
    design = crowd.with_("consumers.charge.retry", how)
    result = simulate(design, duration="19s", replications=2, seed=1)
    calls, edges = np.histogram(result.deliveries["started"] - 10, bins=np.linspace(0, 9, 91))
    peaks[backoff] = int(calls[5:].max())  # of 100 ms, after the first call
    axes.stairs(calls, edges, label=backoff, linewidth=1.5)
axes.set_title("Calls of an import that fails together")
axes.set(xlabel="time since it began (seconds)", ylabel="calls in 100 ms")
axes.legend(frameon=False)
print("the most calls in 100 ms, after the first:", peaks)
assert peaks["exponential 1s"] > 3 * peaks["exponential 1s jitter=50%"]

# %% [markdown]
# ## The storm that keeps itself alive
#
# So far the provider answered as fast as ever, however often it was asked. Real ones do not. This one works on five calls at a
# time, 100 ms each: 50 a second, where 30 are needed. Our patience is 500 ms. Then we count the call as failed; but the
# provider, which cannot know, works on it nevertheless. That is a handler of our own, in a dozen lines:


# %%
def call(env, _order):
    """Charge a card, with a patience of 500 ms."""
    if not hasattr(env.shared, "provider"):
        env.shared.provider = simpy.Resource(env, capacity=5)  # one for all consumers
    answer = env.process(answered(env))
    yield answer | env.timeout("500ms")
    if not answer.processed:
        raise TransientFailure("no answer within 500 ms")


def answered(env):
    """What the provider does with a call, whether someone waits for it or not."""
    with env.shared.provider.request() as turn:
        yield turn
        yield env.timeout("100ms")


slow = Scenario("A provider of finite strength")
slow.queue("orders", dead_letter_exchange="", dead_letter_routing_key="parked")
slow.queue("parked")
slow.publisher("web", to="orders", arrivals="poisson 30/s")
slow.consumer("charge", queue="orders", count=5, concurrency=10, prefetch=10, handler=call)
slow.outage("provider", "fail", whom=["charge"], at="20s", lasting="5s")

# %% [markdown]
# At the 20th second it is down for five seconds, and then it is as well as before. We try four designs; the last lets each of
# the five consumers make four calls at a time instead of ten.

# %% alt="Orders over time: at once and with jitter they grow for ever, on a budget and four at a time they are worked off"
budget = {**backoffs["with jitter"], "budget": "20%"}
names = "at once", "with jitter"
designs = with_each(slow, {name: backoffs[name] for name in names} | {"on a budget": budget})
designs["four at a time"] = designs["with jitter"].with_("consumers.charge.concurrency", 4)
storm = sweep(designs, duration="1min", replications=3, seed=1)
figure, panels = pyplot.subplots(2, 2, figsize=(10, 6), sharex=True, layout="constrained")
for each, panel in zip(storm.points, panels.flat, strict=True):
    each.result.plot.depth("orders", ax=panel).set_title(each.factors["design"])

# %%
metrics = "consumers.charge.failures", "orders.waiting", "orders.loss", "window.p99"
end = storm.frame(*metrics).set_index("design")
waiting, lost = (end[f"orders.{metric}.mean"] for metric in ("waiting", "loss"))
assert (waiting[["at once", "with jitter"]] > 0.5).all()
assert (waiting[["on a budget", "four at a time"]] < 0.01).all()
assert lost["four at a time"] == 0
assert lost["on a budget"] > 0.05
end.filter(regex="mean$").round(3)

# %% [markdown]
# Look at the scales. In the upper two it never ends: half a minute after the outage two thirds of all orders still wait, and
# the provider, which has been well all that time, is busy with calls that nobody listens to. Fifty calls at a time are ten
# times what it works on, so each waits a second for its turn, is given up after half of that, and comes again. The outage was
# the cause of it, but retries keep it alive, with a back-off and jitter as well. It is called a *metastable failure* (Bronson
# and others, HotOS 2021).
#
# Two things end it. **A budget** bounds the calls, at the price of orders that are parked. **A bound on calls at a time** costs
# nothing at all: 20 calls at 50 a second take 400 ms at most, which is less than our patience, so each call that is made is
# answered. All is worked off in ten seconds.
#
# ## Charged twice
#
# The last price. Consumers are deployed every ten seconds, a day in short: their connections break, and what they hold goes
# back to the queue. But a handler that is at work goes on, charges the card, and nobody hears its acknowledgement. Then someone
# else charges it again.

# %%
deployed = shop.with_("run.seed", 1)  # a copy
deployed.outage("deploy", "connection-loss", whom=["charge"], at="10s", every="10s", lasting="1s")
held = sweep(with_each(deployed, hows), **run)
twice = held.frame("orders.duplicates", "orders.deliveries.mean", "window.p99").set_index("design")
duplicates = twice["orders.duplicates.mean"]
assert duplicates["in the handler"] > 3 * duplicates.drop("in the handler").max()
twice.filter(regex="mean$").round(3)

# %% alt="Attempts in the handler: 1.03 deliveries of an order, 1.24 attempts, 1.03 charges"
axes = held.points[1].result.plot.attempts()
_ = axes.set_title("Retries in the handler", pad=25)

# %% [markdown]
# The longer a handler holds an order, the more of them are in its hands when the connection breaks; and one that sleeps for a
# second holds it for long. Each design has some, though: *at least once* is what a broker promises. That the provider knows an
# order that it has charged is what prevents it.
#
# ## What to take home
#
# - **At once** costs nothing on a calm day, for failures that are chance. For what never succeeds it is a hot loop, and a storm
#   when the provider is down.
# - **In the handler** takes consumers, five times as many here, and charges twice five times as often. It is for back-offs that
#   are short beside the work.
# - **Requeue** with a back-off costs the same consumers, and their utilisation does not show it, unless the prefetch is much
#   larger than what is handled at a time.
# - **A delay queue or the delayed exchange** costs more queues or a plug-in, and is what to take otherwise.
# - **Exponential back-off** costs the last percentile, as long again as the outage; give it a `limit`.
# - **Jitter** is for what fails together, and would come back together. Nothing else gains by it.
# - **A budget** costs orders that are parked, to be published again. It is for a provider that must not be called more than it
#   can bear.
# - **A limit of attempts** costs *p*ⁿ of the good orders. There must always be one, with a dead letter exchange behind it.
# - **A bound on calls at a time** costs nothing. Their number, times the time that the provider takes for one when all are at
#   work, has to stay below your patience.
#
# Then look at your own: put your rates, times and probabilities in the place of these. `simbus check` tells what retries do to
# utilisation before you simulate anything.
