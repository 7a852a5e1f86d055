"""The store of money, traces and candles on one database; the only place that speaks SQL."""

from bot.adapters.store.archive import Archived
from bot.adapters.store.backup import Backup, Backups, check_file
from bot.adapters.store.browse import Earned
from bot.adapters.store.journal import SqlJournal
from bot.adapters.store.opening import SETUP_SCRIPT, Store, StoreOptions, open_store
from bot.adapters.store.place import Place, place_of, place_of_file
from bot.adapters.store.schema import REVISION
from bot.adapters.store.traces import SqlTraceStore
from bot.ports import EquityPoint

__all__ = [
    "Archived",
    "Backup",
    "Backups",
    "Earned",
    "EquityPoint",
    "Place",
    "REVISION",
    "SETUP_SCRIPT",
    "SqlJournal",
    "SqlTraceStore",
    "Store",
    "StoreOptions",
    "check_file",
    "open_store",
    "place_of",
    "place_of_file",
]
