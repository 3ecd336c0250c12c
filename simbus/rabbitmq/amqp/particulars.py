"""What a session knows of its client that concerns no verb: for those who look at connections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Particulars:
    """Addresses as ``host:port``, what the client said of itself, and what was agreed; ``since`` in the broker's nanoseconds."""

    peer: str
    here: str
    mechanism: str = ""
    client_properties: Mapping[str, Any] = field(default_factory=dict)
    channel_max: int = 0
    frame_max: int = 0
    heartbeat: int = 0
    since: int = 0

    def agree(self, channel_max: int, frame_max: int, heartbeat: int) -> None:
        """The client's connection.tune-ok."""
        self.channel_max, self.frame_max, self.heartbeat = channel_max, frame_max, heartbeat
