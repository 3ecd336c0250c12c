"""A full trace of one replication: every effect of the broker, in columns.

A replication depends on its scenario, seed and index alone, so nobody has to keep traces in advance: any one is run again, with
a tape beside its recorder. An effect takes some twelve bytes.
"""

from typing import TYPE_CHECKING, Any

from simbus.analysis.column import Column
from simbus.analysis.recorder import Recorder
from simbus.effects import Effect

if TYPE_CHECKING:
    from pandas import DataFrame

_PACKED_AT_ONCE = 16_384


class Tape:
    """Every effect: when, what, in which queue, of which message and copy."""

    def __init__(self) -> None:
        self._at, self._what, self._message, self._copy = Column(), Column(), Column(), Column()
        self._kinds: dict[tuple[str, str], int] = {}  # a number for each kind of effect in each queue

    def take(self, effects: list[Effect]) -> None:
        """Note the effects of one moment."""
        for effect in effects:
            kind = type(effect).__name__, getattr(effect, "queue", "")
            self._at.new.append(effect.at)
            self._what.new.append(self._kinds.setdefault(kind, len(self._kinds)))
            self._message.new.append(effect.message_id)
            self._copy.new.append(effect.copy_id)
        if len(self._at.new) > _PACKED_AT_ONCE:
            for column in (self._at, self._what, self._message, self._copy):
                column.pack()

    def frame(self) -> "DataFrame":
        """A row for each effect, in order; the columns are those of :func:`simbus.trace_of`."""
        import pandas as pd

        what = self._what.values()
        names = {column: [kind[place] for kind in self._kinds] for place, column in enumerate(("effect", "queue"))}
        return pd.DataFrame(
            {
                "time": pd.to_timedelta(self._at.values(), unit="ns"),
                **{column: pd.Categorical(pd.Series(each, dtype=str).to_numpy()[what]) for column, each in names.items()},
                "message": self._message.values(),
                "copy": self._copy.values(),
            }
        )


class Taped(Recorder):
    """A recorder with a tape beside it."""

    def __init__(self, tape: Tape, **given: Any) -> None:
        super().__init__(**given)
        self._beside = tape

    def take(self, effects: list[Effect]) -> None:
        """As any recorder; the tape sees them first."""
        self._beside.take(effects)
        super().take(effects)
