"""Object stores: one protocol, its implementations, and how a set of files is committed."""

from job.store import layout
from job.store.base import Object, Reader, Store
from job.store.factory import open_reader, open_store, resolve

__all__ = ["Object", "Reader", "Store", "layout", "open_reader", "open_store", "resolve"]
