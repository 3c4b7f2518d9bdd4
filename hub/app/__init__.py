"""The composition root: settings in, a running site or router out. The only place where adapters meet the core."""
