"""A Celery application with one task; its broker is in the environment, as ``rabbitmq.env()`` gives it."""

import os

from celery import Celery

app = Celery("shop", broker=os.environ["CELERY_BROKER_URL"], backend="rpc://")
app.conf.update(broker_transport_options={"confirm_publish": True}, task_acks_late=True, worker_send_task_events=True)


class CardDeclined(Exception):
    """The bank says no, for now."""


@app.task(name="charge", bind=True, max_retries=2)
def charge(self, order, declines):
    """Charge for an order, which succeeds after so many declines; the number of attempts."""
    if self.request.retries < declines:
        raise self.retry(exc=CardDeclined(order), countdown=0.01)
    return self.request.retries + 1
