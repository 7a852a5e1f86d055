"""The road for money: asynchronous stages that know ports and domain, never an adapter."""
