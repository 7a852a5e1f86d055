"""One folder a port, one file or package a thing; adapters are strangers to each other."""
