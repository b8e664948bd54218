//! The hash-chained journal and the bus.
