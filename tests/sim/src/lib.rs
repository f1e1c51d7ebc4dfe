//! The simulator: several shards, scripted clients and a hostile network on one thread, from a seed.
