//! EVM execution: re-execution of blocks, simulation, and the in-process local chain.
