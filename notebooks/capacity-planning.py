# %% [markdown]
# # Capacity planning from an export and a trace
#
# **The question.** A bookstore runs RabbitMQ. How many workers does its inventory need, so that 99 % of the
# messages wait for less than five seconds: on the load that it has on average, and on the load that it really
# has?
#
# What we have is what most teams have: the broker's definitions, a log of how long the handler took, and a
# trace of orders.

# %%
from simbus import Scenario, empirical, replay, simulate, solve

# %% [markdown]
# ## The model
#
# The topology comes from `rabbitmqctl export_definitions`. We add who publishes, and who consumes. The times
# of the inventory's handler are 800 that were [made up](README.md#the-data), since the shop logged none; put
# your own log in their place.

# %% alt="The topology: web publishes to bookstore.exchange, which leads to the queues of inventory, email and audit."
handled = empirical(file="inventory-times.csv", column="ms", unit="ms")
shop = Scenario("bookstore")
shop.definitions("../scenarios/bookstore.definitions.json")
shop.publisher(
    "web",
    exchange="bookstore.exchange",
    routing_key="order.placed",
    arrivals="poisson 20/s",
)
shop.consumer("inventory", queue="order.inventory.queue", prefetch=1, service=handled)
shop.consumer("email", queue="order.email.queue", prefetch=1, service="gamma mean=20ms cv=0.5")
shop.consumer("audit", queue="audit.queue", prefetch=1, service="constant 2ms")
axes = shop.plot.topology()  # messages a second along each way, by arithmetic

# %% [markdown]
# ## The average load
#
# 20 messages a second, at random instants. `solve` looks for the least number of workers whose whole
# confidence interval holds the objective. A first look by arithmetic comes before it: how busy is one worker?

# %%
shop.check().table()[["arrivals", "servers", "utilisation", "headroom"]]

# %%
count, objective = "consumers.inventory.count", "order.inventory.queue.wait.p99 < 5s"
run = {"duration": "2min", "warmup": "10s", "replications": 10, "seed": 1}
steady = solve(shop, count, range(1, 9), objective, **run)
steady

# %%
assert steady.value == 1

# %% [markdown]
# One is enough. It is busy for two thirds of its time, and that is the whole of what a mean can tell.
#
# ## The load that it has
#
# The trace holds the orders of a real shop in the first days of December 2010, a message for each line of an
# order. It is played 760 times as fast, so that the mean is 20 messages a second again. All that differs is
# *when* they come.

# %% alt="Depth of the inventory's queue over time: hills of more than a thousand messages by day, nothing by night."
orders = replay("../scenarios/online-retail-orders.csv", speed=760, per="lines")
real = shop.with_("publishers.web.arrivals", orders)
one = simulate(real, replications=5, seed=1)  # until the trace has been played and worked off
axes = one.plot.depth("order.inventory.queue")

# %% [markdown]
# Hills by day, valleys by night: a day takes two minutes here. While the shop is open, orders come at a
# multiple of the mean, and some of them have hundreds of lines. How long do messages wait for that one
# worker?

# %%
waits = one.estimate("order.inventory.queue.wait.p99")
print(f"99 % wait less than {waits.mean:.0f} s (interval: {waits.low:.0f} to {waits.high:.0f} s)")
assert waits.low > 30

# %% [markdown]
# A minute, and not half a second. How many does it take to hold five seconds?

# %%
found = solve(real, count, range(1, 9), objective, replications=5, seed=1)
found

# %% alt="The 99th percentile of the wait falls with the number of workers, and meets the objective at the answer."
axes = found.plot.response()

# %% [markdown]
# ## The answer

# %%
print(f"on the average load {steady.value}, on the load that it has {found.value}")
assert found.value >= 4 * steady.value

# %% [markdown]
# ## What to doubt
#
# - **The trace is a few days.** Others differ, and Black Friday more than that. Play several, or ask
#   `capacity` how much more it takes.
# - **It was played 760 times as fast.** In a shop that large hills last for hours and not for a minute, so
#   what too few workers leave undone gathers for longer than here. Huge orders, which come as one batch each,
#   would be more in number, and each of them weigh less.
# - **The times are drawn one by one.** If your slow ones come together, since a disk is slow for a minute,
#   waits are longer.
# - **What `cautions()` says**, for any answer:

# %%
for caution in found.cautions():
    print("-", caution)

# %% [markdown]
# ## What to take home
#
# - A mean load sizes for a day that never comes. Play a trace, or at least the rush hour.
# - Ask for a quantile with its interval: the answer is the least number that *surely* holds.
# - Export, log and trace are three lines. Everything else was the question.
#
# Next: [all questions that are one call](../docs/planning.md), and [how to bring your own
# data](../docs/real-input.md).
