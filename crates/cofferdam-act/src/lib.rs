//! Executors: prepare, dispatch and settle orders; signers and relayer lanes.
