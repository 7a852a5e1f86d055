"""Settings and the files that go with them."""
