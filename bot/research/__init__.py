"""Work on what was recorded: replay now; never imported by the daemon's start."""
