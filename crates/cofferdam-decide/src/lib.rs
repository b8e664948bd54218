//! From findings to a decision in money, shown as a ledger.
