"""The store of money, traces and candles on one database file; the only place that speaks SQL."""

from bot.adapters.store.journal import EquityPoint, SqlJournal
from bot.adapters.store.opening import Store, StoreOptions, open_store
from bot.adapters.store.traces import SqlTraceStore

__all__ = ["EquityPoint", "SqlJournal", "SqlTraceStore", "Store", "StoreOptions", "open_store"]
