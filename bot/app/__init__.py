"""Composition root: the only package that knows settings and adapters both.

Owns which parts make up a Keel in each mode; every part is handed what it needs.
"""

from bot.app import libraries as libraries  # before whatever else imports them
