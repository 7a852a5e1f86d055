"""Voices of the council, one file each."""
