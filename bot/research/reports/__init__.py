"""Reports on what the store holds: the trace report, and why nothing was traded.

Owns the figures and the rules that judge them; knows neither a terminal nor a settings file.
"""
